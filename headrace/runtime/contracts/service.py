"""What a worker runs in its event loop beside its flows, such as the answers over HTTP (`runtime.http`).

Found by name through the entry-point group `headrace.services`, so that the worker need not import what is built on it.
"""

from typing import Any, Protocol


class Service(Protocol):
    """Made with the worker's settings and values. Belongs to the worker's event loop."""

    def open(self) -> str:
        """Take an address, before the worker joins its groups; returns `host:port` as others call it.

        Raises:
            SettingsError: it cannot be taken.
        """

    async def start(self, worker: Any) -> None:
        """Begin to answer, for a `Worker` that may still be starting."""

    async def close(self) -> None:
        """Answer no more. May be called again, and before `start`."""
