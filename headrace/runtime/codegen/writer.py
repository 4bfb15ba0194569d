"""Writes a module: the loop over a batch, the stages fused inside of it, and the stages that are functions of their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from headrace.runtime.codegen.keyed import takes_senders, write_keyed, write_link, write_results
from headrace.runtime.codegen.module import Entry, LinePlace, Module, StageFunction
from headrace.runtime.codegen.scope import Scope
from headrace.runtime.codegen.stage import StageCode
from headrace.runtime.contracts.action import TABLE, InlineAction
from headrace.runtime.contracts.format import (
    INLINED,
    SKIPPED,
    FormatUse,
    format_name,
    load_format,
)
from headrace.runtime.graph import Node

FAILED = "except Exception as error:"
INDENTS_MAX = 40
"""Deeper stages become functions: Python refuses more than 100 levels of indentation."""
TRIES_MAX = 12
"""Likewise: Python refuses more than 20 nested `for` and `try` blocks."""
STAGES_MAX = 40
"""Likewise: writing a stage inside of another is a recursion of this writer."""


def write_module(label: str, entries: Sequence[Entry], *, coverage: bool = False) -> Module:
    """The module of one source of a sub-topology.

    Several entries (of flows that share a group and read the same topics in the same format) are decoded once and
    then run one after the other, each with failures of its own.
    """
    return Writer(label, entries, coverage=coverage).write()


def handlers_of(entry: Entry) -> dict[str, None]:
    """The error handlers of the stages that are fused behind this entry."""
    return {node.handler: None for node in entry.graph.fused(entry.node.name) if node.handler}


class Writer:
    """One module being written: lines with the place each belongs to, names, and functions still to write."""

    def __init__(self, label: str, entries: Sequence[Entry], *, coverage: bool) -> None:
        self.label = label
        self.entries = entries
        self.is_covered = coverage
        self.lines: list[str] = []
        self.places: dict[int, LinePlace] = {}
        self.indent = 0
        self.tries = 0
        self.stages = 0
        self.constants: dict[str, object] = {}
        self.env: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.spelled: dict[str, str] = {"event": "event", "message": "message"}
        self.outputs: list[tuple[str, str]] = []
        self.routes: list[tuple[str, str, str]] = []
        self.functions: dict[tuple[str, str, str], StageFunction] = {}
        self.inlined: set[tuple[str, str, str]] = set()
        self.unwritten: list[tuple[Entry, Node]] = []
        self.place: LinePlace | None = None
        self.schemas: set[str] = set()
        self.formats: dict[str, FormatUse] = {}
        self.bound: dict[str, str] = {}
        self.outer = 0
        self.count = 0

    def write(self) -> Module:
        first = self.entries[0]
        name = "run"
        if first.is_timed:
            self.line("def bind(task):")
        self.outer = self.indent = int(first.is_timed)
        if first.via == "results":
            name = "forward"
            write_results(self, first)
        else:
            clock = ", clock" if first.is_timed else ""
            with (
                self.block(f"def {name}(messages{clock}):"),
                self.block("for message in messages:"),
            ):
                self._decode()
        handlers = {
            entry.key(handler): self.function(entry, entry.graph.by_name[handler])
            for entry in self.entries
            for handler in handlers_of(entry)
        }
        while self.unwritten:
            self._write_function(*self.unwritten.pop(0))
        if first.is_timed:
            self._bind()
        return Module(
            label=self.label,
            function=name,
            source="\n".join(self.lines) + "\n",
            lines=self.places,
            constants=self.constants,
            env=self.env,
            secrets=self.secrets,
            spelled=self.spelled,
            outputs=tuple(self.outputs),
            handlers=handlers,
            routes=tuple(self.routes),
            schemas=frozenset(self.schemas),
            formats=self.formats,
            is_timed=first.is_timed,
            results_of=first.node.name if first.via == "results" else None,
        )

    def _bind(self) -> None:
        """The end of `bind`: what the functions need of the task, which closures may be given last, and the functions."""
        self.indent = 1
        for name, source in self.bound.items():
            self.line(f"{name} = {source}")
        names = [line.split("(")[0][8:] for line in self.lines if line.startswith("    def ")]
        self.line(f"return {{{', '.join(f'{name!r}: {name}' for name in names)}}}")

    def of_task(self, source: str, hint: str) -> str:
        """A name for something of the task that the functions are bound to."""
        for name, known in self.bound.items():
            if known == source:
                return name
        name = self.variable(hint)
        self.bound[name] = source
        return name

    # ---- lines

    def line(self, text: str) -> None:
        """Write a line; the first one of a stage says in a comment whose it is, for readers and tracebacks."""
        before = self.places.get(len(self.lines))
        if self.place and (before is None or before.node is not self.place.node):
            text = f"{text}  # {self.place.node.name!r}"
        self.lines.append("    " * self.indent + text)
        if self.place:
            self.places[len(self.lines)] = self.place

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Lines that belong to `header`; an `else:` without any is left out."""
        self.line(header)
        is_try = header.startswith(("for ", "try:", "while "))
        self.indent += 1
        self.tries += is_try
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            if header == "else:":
                self.places.pop(len(self.lines), None)
                self.lines.pop()
            else:
                self.line("pass")
        self.indent -= 1
        self.tries -= is_try

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A block whose failures are this record's, and do not stop what comes behind it."""
        with self.block("try:"):
            yield
        with self.block(FAILED):
            self.line("failed(error, message)")

    @contextmanager
    def at(self, place: LinePlace) -> Iterator[None]:
        before, self.place = self.place, place
        yield
        self.place = before

    def variable(self, hint: str, spelled: str = "") -> str:
        self.count += 1
        name = f"{hint}_{self.count}"
        if spelled:
            self.spelled[name] = spelled
        return name

    def constant(self, value: object, hint: str) -> str:
        for name, known in self.constants.items():
            if known is value:
                return name
        self.count += 1
        name = f"{hint}_{self.count}"
        self.constants[name] = value
        return name

    def format_function(self, use: FormatUse) -> str:
        """The name of a function that decodes or encodes values; it is made with the program."""
        for name, known in self.formats.items():
            if known == use:
                return name
        name = self.variable(f"{use.way}_{format_name(use.format)}".replace("-", "_"))
        self.formats[name] = use
        return name

    # ---- the loop

    def _decode(self) -> None:
        first = self.entries[0]
        place = LinePlace(first, first.node, "", {}, is_decoding=True)
        source = first.source
        if len(self.entries) == 1:
            with self.attempt():
                with self.at(place):
                    self._read_value(source.tombstones == "skip")
                self._enter_unless_skipped(first)
            return
        with self.block("try:"), self.at(place):
            self._read_value(all(entry.source.tombstones == "skip" for entry in self.entries))
        with self.block(FAILED):
            for i, entry in enumerate(self.entries):
                with self.at(replace(place, entry=entry, node=entry.node)):
                    self.line(f"failed_decoding(error, message, {i})")
        with self.block("else:"):
            for entry in self.entries:
                with self.attempt():
                    self._enter_unless_skipped(entry)

    def _enter_unless_skipped(self, entry: Entry) -> None:
        conditions = ["value is not None"] if entry.source.tombstones == "skip" else []
        if entry.value_format not in INLINED and load_format(entry.value_format).skips:
            conditions.append(f"event is not {self.constant(SKIPPED, 'SKIPPED')}")
        if not conditions:
            self._enter(entry)
            return
        with self.block(f"if {' and '.join(conditions)}:"):
            self._enter(entry)

    def _read_value(self, skips_tombstones: bool) -> None:
        first = self.entries[0]
        self.line("value = message.value()")
        if first.is_link and first.is_timed:
            # Events that are null are written as such: a record without a value is a marker.
            with self.block("if value is None:"):
                self.line("clock.mark(message)")
                self.line("continue")
        if first.is_link and first.carries_bytes:
            self.line("event = decode_link(message)")
            return
        decoded = {"json": "loads(value)", "text": "decode_text(value)", "bytes": "value"}
        how = decoded.get(first.value_format) or f"{self.format_function(first.format_use)}(value)"
        if skips_tombstones or how == "value":
            self.line(
                f"event = {how} if value is not None else None"
                if how != "value"
                else "event = value"
            )
        else:
            self.line(f"event = None if value is None else {how}")

    def _enter(self, entry: Entry) -> None:
        is_shared = len(self.entries) > 1
        scope = Scope(
            is_owned=not is_shared,
            is_shared=is_shared,
            raw=None if entry.is_link and entry.carries_bytes else "value",
            raw_format=entry.value_format,
        )
        if entry.is_link:
            if entry.is_timed:
                with self.at(LinePlace(entry, entry.node, "event", {})):
                    self._do_overdue(entry)
            scope = self._enter_link(entry, scope)
            sender = ""
            if entry.node.keyed is not None and takes_senders(entry.node.keyed):
                with self.at(LinePlace(entry, entry.node, "event", {})):
                    sender = self.variable("sender")
                    self.line(f"{sender} = sender_of(message)")
                    stages = [
                        entry.graph.by_name[n].stage for n in entry.graph.inputs[entry.node.name]
                    ]
                    renamed = {one.first_name: one.name for one in stages if one.renamed_from}
                    if renamed:
                        self.line(f"{sender} = {renamed!r}.get({sender}, {sender})")
            self.stage(entry, entry.node, scope, is_entry=True, sender=sender)
            return
        if entry.via == "table":
            with self.at(LinePlace(entry, entry.node, "event", {})):
                self._keep_time(entry, scope)
            self.stage(entry, entry.node, scope, is_entry=True, sender=repr(TABLE))
            return
        scope = self._enter_trigger(entry, scope)
        self._mark(entry, entry.node)
        self.downstream(entry, entry.node, scope)

    def _enter_trigger(self, entry: Entry, scope: Scope) -> Scope:
        code = StageCode(self, entry, entry.node, scope)
        with self.at(code.place):
            source = entry.source
            if source.key is not None:
                text = code.expression(source.key)
                key = self.variable("key", "key")
                self.line(f"{key} = run_key({text})")
                code.scope = replace(code.scope, key=key, is_key_set=True)
            if source.timestamp is not None:
                text = code.expression(source.timestamp)
                timestamp = self.variable("timestamp", "timestamp")
                self.line(f"{timestamp} = event_time({text})")
                code.scope = replace(code.scope, timestamp=timestamp, is_timestamp_set=True)
            if entry.is_timed:
                code.timestamp()
                self._keep_time(entry, code.scope)
            if entry.graph.flow.input:
                code.check_input(entry.graph.flow.input)
            if "trigger.event" in entry.graph.wanted[entry.node.name]:
                code.scope = code.scope.with_result("trigger.event", "event")
        return code.scope

    def _do_overdue(self, entry: Entry) -> None:
        """Lines that do what the record before has set for a time that has passed, as if it had been the last of its batch."""
        keyed = [node.keyed for node in entry.graph.nodes if node.keyed is not None]
        if any(action.fold() is None for action in keyed):
            with self.block("if clock.is_overdue:"):
                self.line("clock.advance()")

    def _keep_time(self, entry: Entry, scope: Scope) -> None:
        """Lines that let the watermark go on, and do what is due, before the record is looked at."""
        timestamp = scope.timestamp or "message.timestamp()[1]"
        self._do_overdue(entry)
        with self.block(f"if {timestamp} > clock.high:"):
            self.line(f"clock.high = {timestamp}")
            with self.block(f"if {timestamp} >= clock.due:"):
                self.line("clock.advance()")

    def _enter_link(self, entry: Entry, scope: Scope) -> Scope:
        names = entry.crossing[entry.node.name]
        if not names:
            return scope
        crossed = self.variable("crossed")
        with self.at(LinePlace(entry, entry.node, "event", {})):
            self.line(f"{crossed} = decode_crossing(message)")
            for name in names:
                variable = self.variable("result", name)
                self.line(f"{variable} = {crossed}.get({name!r})")
                scope = replace(scope, results={**scope.results, name: variable})
        return scope

    # ---- stages

    def stage(
        self,
        entry: Entry,
        node: Node,
        scope: Scope,
        *,
        is_entry: bool = False,
        is_function: bool = False,
        sender: str = "",
    ) -> None:
        """Write what one stage does with the event of this scope: inline, as a call, or as a record to its own topic.

        `sender` is the stage that the event comes from: its name, or at an entry the source of it.
        """
        code = StageCode(self, entry, node, scope)
        if not is_entry and node.is_behind_topic(sender):
            with self.at(code.place):
                write_link(code, sender)
            return
        if node.keyed is not None:
            self._mark(entry, node)
            with self.at(code.place):
                write_keyed(code, node.keyed, sender if is_entry else repr(sender))
            return
        inputs = entry.graph.inputs[node.name]
        too_deep = self.indent > INDENTS_MAX or self.tries > TRIES_MAX or self.stages > STAGES_MAX
        # Several routes of one branch may lead here: written out for each, the code would double with every such branch.
        is_written = entry.key(node.name) in self.inlined
        if not (is_entry or is_function) and (len(inputs) > 1 or too_deep or is_written):
            function = self.function(entry, node)
            given = function.arguments(code.place.variables)
            with self.at(code.place):
                self.line(f"{function.name}(message, {', '.join((scope.event, *given))})")
            return
        self.inlined.add(entry.key(node.name))
        self._body(entry, node, scope)

    def _body(self, entry: Entry, node: Node, scope: Scope) -> None:
        action = node.action
        assert isinstance(action, InlineAction), action
        self._mark(entry, node)
        code = StageCode(self, entry, node, scope)
        self.stages += 1
        with self.at(code.place):
            action.emit(code)
        self.stages -= 1

    def _mark(self, entry: Entry, node: Node) -> None:
        if self.is_covered:
            self.line(f"visited({entry.graph.flow.name!r}, {node.name!r}, '')")

    def downstream(self, entry: Entry, node: Node, scope: Scope) -> None:
        """Write the stages that get every output of a stage, each with failures of its own."""
        wanted = entry.graph.wanted
        if any(f"results.{node.name}" in wanted[name] for name in node.out):
            scope = scope.with_result(f"results.{node.name}", scope.event)
        targets = [entry.graph.by_name[name] for name in node.out]
        if len(targets) == 1:
            self.stage(entry, targets[0], scope, sender=node.name)
            return
        for target in targets:
            with self.attempt():
                self.stage(entry, target, scope.shared(), sender=node.name)

    # ---- functions

    def function(self, entry: Entry, node: Node) -> StageFunction:
        """The function of a stage; it is written after the loop."""
        key = entry.key(node.name)
        if key not in self.functions:
            self.count += 1
            identifier = "".join(c if c.isalnum() and c.isascii() else "_" for c in node.name)
            wanted = entry.graph.wanted[node.name]
            parameters = {name: self.variable("given", name) for name in sorted(wanted)}
            if entry.via == "trigger" and entry.source.key is not None:
                parameters["key"] = self.variable("key", "key")
            if entry.via == "trigger" and entry.source.timestamp is not None:
                parameters["timestamp"] = self.variable("timestamp", "timestamp")
            self.functions[key] = StageFunction(f"stage_{identifier}_{self.count}", parameters)
            self.unwritten.append((entry, node))
        return self.functions[key]

    def _write_function(self, entry: Entry, node: Node) -> None:
        function = self.functions[entry.key(node.name)]
        given = dict(function.parameters)
        self.tries = self.stages = 0
        self.indent = self.outer
        self.lines += ["", ""]
        self.line(
            f"def {function.name}(message, event{''.join(f', {p}=None' for p in given.values())}):"
        )
        self.indent += 1
        key, timestamp = given.pop("key", None), given.pop("timestamp", None)
        scope = Scope(
            is_owned=False,
            is_shared=True,
            key=key,
            is_key_set=key is not None,
            timestamp=timestamp,
            is_timestamp_set=timestamp is not None,
            results=given,
        )
        before = len(self.lines)
        self.stage(entry, node, scope, is_function=True, sender=entry.graph.inputs[node.name][0])
        if len(self.lines) == before:
            self.line("pass")
