"""What one stage writes on one path: the `Code` of the action contract."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from headrace.runtime.codegen.module import Entry, LinePlace
from headrace.runtime.codegen.scope import Scope
from headrace.runtime.contracts.format import INLINED, FormatUse
from headrace.runtime.expression import Expression, Template
from headrace.runtime.graph import Node
from headrace.runtime.graph.mentions import paths_of

if TYPE_CHECKING:
    from headrace.runtime.codegen.writer import Writer

NOTHING = "NOTHING"
"""Stands for the result of a stage that this path did not pass: null."""


class StageCode:
    """Where an action writes its lines; `scope` grows as lines compute what later ones need."""

    def __init__(self, writer: Writer, entry: Entry, node: Node, scope: Scope) -> None:
        self.writer = writer
        self.entry = entry
        self.node = node
        self.scope = scope

    @property
    def stage(self) -> str:
        return self.node.name

    @property
    def event(self) -> str:
        return self.scope.event

    @property
    def is_owned(self) -> bool:
        return self.scope.is_owned

    @property
    def is_alone(self) -> bool:
        return not self.scope.is_shared and self.node.handler is None

    @property
    def place(self) -> LinePlace:
        return LinePlace(
            self.entry, self.node, self.scope.event, self._variables(), is_alone=self.is_alone
        )

    @property
    def is_origin_told(self) -> bool:
        """Whether the message need not be the trigger's record, so that its headers tell where the run began."""
        return self.entry.via != "trigger"

    def _variables(self) -> dict[str, str]:
        found = dict(self.scope.results)
        if self.scope.is_key_set and self.scope.key:
            found["key"] = self.scope.key
        if self.scope.is_timestamp_set and self.scope.timestamp:
            found["timestamp"] = self.scope.timestamp
        return found

    # ---- lines

    def line(self, text: str) -> None:
        self.writer.line(text)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        # What is computed inside is not there behind the block, which may not have run.
        before = self.scope
        with self.writer.block(header):
            yield
        self.scope = before

    def variable(self, hint: str, spelled: str = "") -> str:
        return self.writer.variable(hint, spelled)

    def constant(self, value: object, hint: str) -> str:
        return self.writer.constant(value, hint)

    def visited(self, route: str) -> None:
        if self.writer.is_covered:
            flow = self.entry.graph.flow.name
            self.writer.routes.append((flow, self.node.name, route))
            self.line(f"visited({flow!r}, {self.node.name!r}, {route!r})")

    # ---- expressions

    def expression(
        self, part: Expression | Template, names: Mapping[str, str] | None = None
    ) -> str:
        known = {"event": self.scope.event, **(names or {})}
        for path in sorted(paths_of(part)):
            if path not in known and path.split(".")[0] not in known:
                known[path] = self._name(path)
        return part.emit(known)

    def _name(self, path: str) -> str:
        """Source for one name; writes the line that computes it when it is the first to ask."""
        root, _, field = path.partition(".")
        if root == "results":
            return self.scope.results.get(path, NOTHING)
        if root == "flow":
            flow = self.entry.graph.flow
            return repr(list(flow.tags) if field == "tags" else getattr(flow, field))
        if root in ("env", "secret", "secrets"):
            kept = self.writer.env if root == "env" else self.writer.secrets
            hint = "env" if root == "env" else "secret"
            return kept.setdefault(field, f"{hint}_{len(kept)}_{_identifier(field)}")
        if path == "run.id":
            return self.run_id()
        if root == "trigger":
            return self._trigger(field)
        computed = {"key": self.key, "headers": self.headers, "timestamp": self.timestamp}
        return computed[path]()

    def _trigger(self, field: str) -> str:
        if field == "event":
            return self.scope.results.get("trigger.event", NOTHING)
        if field == "stage":
            told = self.is_origin_told
            return "origin_stage(message)" if told else repr(self.entry.node.name)
        if field in ("key", "headers", "timestamp"):
            return self._name(field)
        if self.is_origin_told:
            return f"origin_{field}(message)"
        return f"message.{field}()"

    def key(self) -> str:
        """The run's key as text where it is UTF-8, else as bytes."""
        if self.scope.key is None:
            name = self.variable("key", "key")
            self.line(f"{name} = decode_key({self.scope.message_key})")
            self.scope = replace(self.scope, key=name)
        assert self.scope.key
        return self.scope.key

    def headers(self) -> str:
        """The run's headers as a mapping of texts."""
        if self.scope.headers is None:
            name = self.variable("headers", "headers")
            self.line(f"{name} = decode_headers(message.headers())")
            self.scope = replace(self.scope, headers=name)
        assert self.scope.headers
        return self.scope.headers

    def timestamp(self) -> str:
        """The run's event time in milliseconds."""
        if self.scope.timestamp is None:
            name = self.variable("timestamp", "timestamp")
            self.line(f"{name} = message.timestamp()[1]")
            self.scope = replace(self.scope, timestamp=name)
        assert self.scope.timestamp
        return self.scope.timestamp

    def run_id(self) -> str:
        """The identity of the run: its trigger record's `topic-partition-offset`."""
        if self.scope.run_id is None:
            name = self.variable("run", "run.id")
            self.line(f"{name} = {'origin_run' if self.is_origin_told else 'run_of'}(message)")
            self.scope = replace(self.scope, run_id=name)
        assert self.scope.run_id
        return self.scope.run_id

    # ---- the way on

    def forward(
        self,
        event: str,
        *,
        is_owned: bool = False,
        is_object: bool = False,
        is_unchanged: bool = False,
    ) -> None:
        scope = replace(self.scope, event=event)
        if not is_unchanged:
            scope = replace(scope, is_owned=is_owned, is_object=is_object, raw=None)
            self.writer.spelled.setdefault(event, "event")
        self.writer.downstream(self.entry, self.node, scope)

    @contextmanager
    def forward_each(self, items: str, item: str) -> Iterator[None]:
        with self.block(f"for {item} in {items}:"), self.writer.attempt():
            self.scope = self.scope.shared()  # an item may be in the list twice
            self._has_sent()
            yield

    def forward_to(self, stage: str) -> None:
        # Another route may take the same record too, so that none of them owns it.
        scope = self.scope.shared()
        name = f"results.{self.node.name}"
        if name in self.entry.graph.wanted[stage]:
            scope = scope.with_result(name, scope.event)
        with self.writer.attempt():
            self.writer.stage(
                self.entry, self.entry.graph.by_name[stage], scope, sender=self.node.name
            )
        self._has_sent()

    def _has_sent(self) -> None:
        """Note that lines of this stage may fail from here on when it has sent on something already."""
        if self.writer.place is not None:
            self.writer.place = replace(self.writer.place, is_partly_done=True)

    def check_input(self, schema: Mapping[str, Any]) -> None:
        """Check the decoded record against the flow's `input` schema."""
        check = self.constant(schema, "input_schema")
        self.writer.schemas.add(check)
        self.line(f"check_{check}(event)")

    # ---- topics

    def produce(
        self,
        topic: str,
        *,
        is_topic_constant: bool,
        value_format: str,
        key: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        partition: str | None = None,
        timestamp: str | None = None,
        value: str | None = None,
    ) -> None:
        if not is_topic_constant:
            name = self.variable("topic", "topic")
            self.line(f"{name} = {topic}")
            with self.block(f"if {name} not in known_topics:"):
                self.line(f"check_topic({name})")
            topic = name
        given = {"key": encode(key) if key is not None else self.raw_key()}
        if partition is not None:
            given["partition"] = f"check_partition({partition}, {topic})"
        if timestamp != "0":
            given["timestamp"] = timestamp or self.raw_timestamp()
        written = [f"({name}, encode_header({text}))" for name, text in headers]
        if written:
            given["headers"] = f"add_headers(message, [{', '.join(written)}])"
        elif not self.scope.has_headers:
            given["headers"] = NOTHING
        else:
            given["headers"] = (
                "plain_headers(message)"
                if self.entry.is_link
                else "message.headers() and plain_headers(message)"
            )
        scope = (
            self.scope
            if value is None
            else replace(self.scope, event=value, raw=None, is_object=False)
        )
        if value_format in INLINED:
            written_value = encoded(scope, value_format)
        else:
            known = literal_eval(topic) if is_topic_constant else None
            encode_value = self.writer.format_function(FormatUse(value_format, "write", known))
            written_value = f"{encode_value}({scope.event}, {topic})"
        self.send(topic, written_value, given)
        self.line(f"counts[{len(self.writer.outputs)}] += 1")
        self.writer.outputs.append((self.entry.graph.flow.name, self.node.name))

    def raw_key(self) -> str:
        """Source of the run's key as the client takes it."""
        return encode(str(self.scope.key)) if self.scope.is_key_set else self.scope.message_key

    def raw_timestamp(self) -> str:
        """Source of the run's event time."""
        return self.scope.timestamp or "message.timestamp()[1]"

    def send(self, topic: str, value: str, given: Mapping[str, str]) -> None:
        """Write the call that produces a record."""
        encoded = value
        if "(" in value:  # encoded outside of the inner try, which is only for a full queue
            encoded = self.variable("bytes")
            self.line(f"{encoded} = {value}")
        # By position, because keywords cost time; None twice is for the callbacks in between.
        partition, timestamp = given.get("partition", "-1"), given.get("timestamp", "0")
        call = f"({topic}, {encoded}, {given['key']}, {partition}, None, None, {timestamp}, {given['headers']})"
        with self.block("try:"):
            self.line(f"produce{call}")
        with self.block("except BufferError:"):
            self.line(f"produce_later{call}")


def encoded(scope: Scope, value_format: str) -> str:
    """Source of the bytes of an inlined format to write: those that were read, while the event is still what they said."""
    if scope.raw and scope.raw_format == value_format:
        return scope.raw
    if value_format != "json":
        return f"encode_{value_format}({scope.event})"
    if scope.is_object:
        return f"dumps({scope.event})"
    return f"None if {scope.event} is None else dumps({scope.event})"


def encode(key: str) -> str:
    """Source that turns a key of the expression language into what the client takes."""
    return f"encode_key({key})"


def _identifier(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in text)
