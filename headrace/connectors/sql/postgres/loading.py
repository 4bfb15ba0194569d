"""How values of PostgreSQL arrive: times as ISO 8601 text, so that those which Python does not have (`infinity`) arrive too."""

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import psycopg

_ZONE: Final = re.compile(r"([+-]\d\d)(:?\d\d)?$")
_TIMES: Final = ("timestamp", "timestamptz")
_TEXTS: Final = ("date", "time", "timetz", "interval", "uuid", "inet", "cidr")


def set_up(connection: "psycopg.AsyncConnection[Any]") -> None:
    """Set a new connection up so."""
    from psycopg.adapt import Loader
    from psycopg.types.string import TextLoader

    class IsoLoader(Loader):
        def load(self, data: Any) -> str:
            return iso(bytes(data).decode())

    for name in _TIMES:
        connection.adapters.register_loader(name, IsoLoader)
    for name in _TEXTS:
        connection.adapters.register_loader(name, TextLoader)


def iso(text: str) -> str:
    """`2026-01-31 12:00:00+00` as ISO 8601 has it: `2026-01-31T12:00:00+00:00`."""
    day, gap, time = text.partition(" ")
    if not gap or time.endswith("BC"):
        return text
    return f"{day}T{_ZONE.sub(lambda zone: zone[1] + (zone[2] or ':00'), time)}"
