"""`join`: brings together what belongs together, of two stages or of a stage and a table."""

from collections.abc import Iterable, Iterator

from headrace.operators.join.config import (
    ROW_NAMES,
    VALUE_NAMES,
    JoinConfig,
    is_topic_name,
    names_beyond,
)
from headrace.operators.join.foreign_key import ForeignKeyJoin
from headrace.operators.join.keyed_join import KeyedJoin
from headrace.operators.join.stream_stream import StreamStreamJoin
from headrace.operators.join.stream_table import StreamTableJoin
from headrace.operators.join.table_table import TableTableJoin
from headrace.runtime.contracts.action import Action

_ONLY_FOR = {
    "within": "two streams",
    "grace": "two streams",
    "wait": "a stream and a table",
    "as_of": "a stream and a table",
    "history": "a stream and a table",
    "foreign_key": "two tables",
}


class Join(Action):
    """Joins two streams within a time, a stream with a table, or two tables, also by a foreign key."""

    Config = JoinConfig
    config: JoinConfig

    def specialised(self) -> Action:
        """The join that the config describes; itself, with its problems, when it describes none."""
        return self if any(True for _ in self.problems()) else self._kind()(self.config)

    def problems(self) -> Iterable[str]:
        config = self.config
        if config.is_left_table and not config.is_right_table:
            yield "as: a stream is joined with a table on its right; swap left and right, or read both as tables"
            return
        yield from self._misplaced()
        if config.is_left_table:
            yield from self._tables()
        elif config.is_right_table:
            yield from self._stream_and_table()
        elif config.within is None:
            yield (
                "within: two streams need the time within which records match, such as `within: 10m`;"
                " or read one of them `as: {right: table}`"
            )
        yield from self._sides()
        yield from names_beyond(
            "value", config.value, VALUE_NAMES, "but a result is made of two records"
        )

    def _kind(self) -> type[KeyedJoin]:
        if self.config.is_left_table:
            return ForeignKeyJoin if self.config.foreign_key else TableTableJoin
        return StreamTableJoin if self.config.is_right_table else StreamStreamJoin

    def _joined(self) -> str:
        """What is joined, in the words of `_ONLY_FOR`."""
        if self.config.is_left_table:
            return "two tables"
        return "a stream and a table" if self.config.is_right_table else "two streams"

    def _misplaced(self) -> Iterator[str]:
        joined = self._joined()
        for field, needed in _ONLY_FOR.items():
            if field in self.config.model_fields_set and needed != joined:
                yield f"{field}: is for {needed}, and this joins {joined}{_hint(field)}"

    def _sides(self) -> Iterator[str]:
        config = self.config
        if config.left is not None and config.left == config.right:
            yield f"right: '{config.left}' is on the left already; to join a stage with itself, send one side through a `noop`"
        if config.topic is None:
            return
        if not is_topic_name(config.topic.table):
            yield "right: a topic's name has 1 to 249 letters, digits, '.', '_' or '-', and is not '.' or '..'"
        if "right" in config.as_.model_fields_set and config.as_.right == "stream":
            yield "as: a topic on the right is always read as a table; a stream needs a `kafka` trigger"
        if config.right_key is not None:
            yield (
                "right_key: a topic is read as a table under its own keys; publish it under another key,"
                " or read it with a trigger and `as: {right: table}`"
            )

    def _stream_and_table(self) -> Iterator[str]:
        config = self.config
        if config.type == "outer":
            yield (
                "type: changes of the table emit nothing, so there is no outer join with it;"
                " use left, or read both sides as tables"
            )
        if config.as_of and config.history is None:
            yield "history: as_of needs how long replaced rows are kept, such as `history: 7d`; older records are late"
        if config.history is not None and not config.as_of:
            yield "history: keeps replaced rows for `as_of: true`, which is not set"
        if config.as_of and config.is_global:
            yield "as_of: a global table has only its current rows; leave `global` out"
        if config.wait is not None and config.history is not None and config.wait > config.history:
            yield "wait: is longer than the history, so that every record would come too late for its row"
        if config.late is not None and not config.as_of:
            yield "late: a record is late only for two streams, or for `as_of`"
        if config.is_global:
            why = "but the key of a global table is looked up inside the join"
            yield from names_beyond("left_key", config.left_key, ROW_NAMES, why)

    def _tables(self) -> Iterator[str]:
        config = self.config
        if config.late is not None:
            yield "late: no change of a table is late; the last one that is read counts"
        if config.is_global:
            yield (
                "right: two tables are joined whenever either changes, of which a global table does not tell;"
                " leave `global` out"
            )
        if config.foreign_key is None:
            return
        if config.type == "outer":
            yield "type: a foreign-key join is inner or left; a right row without left rows has no key for its result"
        why = "but the foreign key is read from the left row"
        yield from names_beyond("foreign_key", config.foreign_key, ROW_NAMES, why)


def _hint(field: str) -> str:
    return {
        "foreign_key": "; a stream finds its row by `left_key`",
        "wait": "; `grace` is how long two streams wait",
        "grace": "; `wait` holds a record until its row is there",
    }.get(field, "")
