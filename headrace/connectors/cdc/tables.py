"""Which tables a config names, and the topics of their changes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

Value = TypeVar("Value")
_NOT_IN_TOPICS = re.compile(r"[^a-zA-Z0-9._-]")
_TOPIC_LENGTH_MAX = 249


class TableName(NamedTuple):
    """A table; in MySQL the schema is what the server calls a database."""

    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


def is_pattern(name: str) -> bool:
    """Whether a name stands for any number of tables."""
    return "*" in name or "?" in name


def _expression(glob: str) -> re.Pattern[str]:
    signs = {"*": ".*", "?": "."}
    return re.compile("".join(signs.get(sign, re.escape(sign)) for sign in glob), re.DOTALL)


@dataclass(frozen=True)
class Tables:
    """The tables that a config names; `schema` belongs to names that have none."""

    include: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    schema: str = "public"

    def full(self, name: str) -> str:
        """A name or pattern with its schema."""
        return name if "." in name else f"{self.schema}.{name}"

    @property
    def has_patterns(self) -> bool:
        return any(map(is_pattern, self.include))

    @property
    def exact(self) -> tuple[TableName, ...]:
        """The tables that are named without a pattern, in the order of the config."""
        names = (self.full(name) for name in self.include if not is_pattern(name))
        found = (TableName(*name.split(".", 1)) for name in dict.fromkeys(names))
        return tuple(name for name in found if not self._matches(self.exclude, name))

    def chosen(self, existing: Iterable[TableName]) -> list[TableName]:
        """Those of the existing tables that the config names."""
        return [
            name
            for name in existing
            if self._matches(self.include, name) and not self._matches(self.exclude, name)
        ]

    def _matches(self, globs: Iterable[str], name: TableName) -> bool:
        return any(_expression(self.full(glob)).fullmatch(str(name)) for glob in globs)

    def of(self, settings: Mapping[str, Value], name: TableName) -> Value | None:
        """What the config says of one table; its full name counts before a pattern."""
        for key, value in settings.items():
            if not is_pattern(key) and self.full(key) == str(name):
                return value
        for key, value in settings.items():
            if is_pattern(key) and self._matches((key,), name):
                return value
        return None


def topic_of(prefix: str, name: TableName) -> str:
    """The topic of a table; what Kafka does not allow in names becomes `_`, as with Debezium."""
    return _NOT_IN_TOPICS.sub("_", f"{prefix}.{name}")[:_TOPIC_LENGTH_MAX]


def topic_pattern(prefix: str, tables: Tables) -> str:
    """A regular expression for the topics of all tables that match, and for that of messages.

    Written so that POSIX and RE2 read it alike.
    """
    globs = [topic_glob(tables.full(name)) for name in tables.include]
    return f"{_literal(prefix)}[.]({'|'.join(['message', *globs])})"


def topic_glob(glob: str) -> str:
    """A regular expression for topic names out of a pattern with `*` and `?`."""
    signs = {"*": ".*", "?": "."}
    return "".join(signs.get(sign) or _literal(_NOT_IN_TOPICS.sub("_", sign)) for sign in glob)


def _literal(text: str) -> str:
    return text.replace(".", "[.]")


def message_topic(prefix: str) -> str:
    """The topic of what belongs to no table: logical messages."""
    return f"{prefix}.message"
