"""The functions by which one member reads and writes values of the formats that are not inlined."""

from collections.abc import Mapping
from typing import Any

from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.contracts.format import FormatOpening, FormatUse, format_name, load_format
from headrace.runtime.errors import SettingsError


class Formats:
    """Decoders and encoders, made when they are first asked for. Belongs to the member's thread."""

    def __init__(
        self, settings: Mapping[str, Any] | None = None, clock: Clock | None = None
    ) -> None:
        self._opening = FormatOpening(settings or {}, clock or SystemClock(), {})
        self._functions: dict[FormatUse, Any] = {}

    def function(self, use: FormatUse) -> Any:
        """The decoder or encoder of a use.

        Raises:
            SettingsError: an extra or a setting is missing.
        """
        if use not in self._functions:
            self._functions[use] = self._open(use)
        return self._functions[use]

    def close(self) -> None:
        """Let go of connections. May be called again."""
        for shared in self._opening.shared.values():
            shared.close()

    def _open(self, use: FormatUse) -> Any:
        try:
            made = load_format(use.format)
        except ValueError as error:
            raise SettingsError(f"format {format_name(use.format)}: {error}") from error
        if use.way == "event":
            return made.decoder(self._opening)
        if use.way == "row":
            return made.row_decoder(self._opening)
        return made.encoder(self._opening, use.topic)
