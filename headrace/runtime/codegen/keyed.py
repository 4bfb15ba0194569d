"""The lines around keyed stages: into their topics, into their state, and on from there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.runtime.codegen.module import Entry
from headrace.runtime.codegen.scope import Scope
from headrace.runtime.codegen.stage import NOTHING, StageCode, encoded
from headrace.runtime.contracts.action import Fold, KeyedAction
from headrace.runtime.expression import Expression
from headrace.runtime.graph.calling import Calling

if TYPE_CHECKING:
    from headrace.runtime.codegen.writer import Writer


def takes_senders(action: KeyedAction) -> bool:
    """Whether it matters to an action which stage sent a record; to accumulators it does not."""
    if isinstance(action, Calling) or action.fold() is not None:
        return False
    return action.sends or action.inputs[1] != 1


def write_link(code: StageCode, sender: str) -> None:
    """Write the event to the topic in front of this stage, with what later stages mention."""
    topic = code.entry.link_topics[code.node.name]
    action = code.node.keyed
    given = {
        "key": code.raw_key(),
        "partition": f"message.partition() % partitions_of({topic!r})",
        "timestamp": code.raw_timestamp(),
        "headers": _headers(code, action, sender),
    }
    by = action.key(sender) if action is not None else None
    if by is not None:
        key = code.variable("key")
        code.line(f"{key} = link_key({code.expression(by)})")
        given |= {"key": key, "partition": "-1"}
    code.send(repr(topic), _link_value(code, by), given)


def _link_value(code: StageCode, key: Expression | None) -> str:
    """Source of the value of a record that crosses a topic: what the stage behind it reads of the event."""
    event = code.scope.event
    if code.entry.carries_bytes:
        value = f"encode_link({event})"
    elif (fields := _fields_read(code, key)) is not None:
        return f"dumps(picked({event}, {fields!r}))"
    else:
        value = encoded(code.scope, "json")
    if code.entry.is_timed and not code.scope.is_object:
        value = f"b'null' if {event} is None else {value}"
    return value


def _fields_read(code: StageCode, key: Expression | None) -> tuple[str, ...] | None:
    """The fields of the event that accumulators are made of; None where somebody may look at the whole event."""
    node = code.node
    action = node.keyed
    if action is None or action.fold() is None or action.late_stage or action.late_topic:
        return None
    if node.handler is not None:
        return None
    found: set[str] = set()
    for part in action.config.parts():
        if part is key:
            continue
        if part.event_fields is None:
            return None
        found |= part.event_fields
    return tuple(sorted(found))


def _headers(code: StageCode, action: KeyedAction | None, sender: str) -> str:
    """Source of the headers: the run's where it goes on behind the topic, and the sender where it matters."""
    crossing = {
        name: code.scope.results.get(name, NOTHING) for name in code.entry.crossing[code.node.name]
    }
    pairs = ", ".join(f"{name!r}: {source}" for name, source in crossing.items())
    crossed = f"{{{pairs}}}" if pairs else NOTHING
    keeps_run = action is None or action.keeps_run or bool(pairs)
    headers = NOTHING
    if keeps_run:
        how = "relink_headers" if code.is_origin_told else "link_headers"
        stage = "" if code.is_origin_told else f", {code.entry.node.name!r}"
        headers = f"{how}(message, {code.scope.event}, {crossed}{stage})"
    elif code.entry.carries_bytes:
        headers = f"bytes_headers({code.scope.event})"
    if action is not None and takes_senders(action):
        told = code.entry.graph.by_name[sender].stage.first_name
        headers = f"sender_headers({told!r}, {headers})"
    return headers


def write_keyed(code: StageCode, action: KeyedAction, sender: str) -> None:
    """Write the call of a keyed stage, or the lines of its accumulators; `sender` is Python source."""
    if code.node.calling is not None:
        _write_call(code, code.node.calling)
        return
    fold = action.fold()
    if fold is not None:
        _write_fold(code, fold)
        return
    name = code.node.name
    on_record = code.writer.of_task(f"task.stage({name!r}).on_record", "on_record")
    timestamp = code.timestamp()
    key = f"key_bytes({code.scope.key})" if code.scope.is_key_set else "message.key()"
    is_own = not (code.scope.is_key_set or code.scope.is_timestamp_set)
    names = _given(code.entry, name)
    known = {**code.scope.results}
    pairs = ", ".join(f"{known_name!r}: {known.get(known_name, NOTHING)}" for known_name in names)
    given = f", {{{pairs}}}" if pairs else ""
    code.line(f"{on_record}(message, {code.event}, {key}, {timestamp}, {sender}, {is_own}{given})")


def _write_call(code: StageCode, calling: Calling) -> None:
    """Write the line that lets a record wait for its call, with what the call needs of it."""
    name = code.node.name
    on_record = code.writer.of_task(f"task.stage({name!r}).on_record", "call")
    timestamp = code.timestamp()
    key = f"key_bytes({code.scope.key})" if code.scope.is_key_set else code.scope.message_key
    is_own = not (code.scope.is_key_set or code.scope.is_timestamp_set)
    arguments = ", ".join(
        f"{argument!r}: {code.expression(part)}"
        for argument, part in calling.action.arguments().items()
    )
    known = code.scope.results
    pairs = ", ".join(f"{one!r}: {known.get(one, NOTHING)}" for one in _given(code.entry, name))
    given = f", {{{pairs}}}" if pairs else ""
    code.line(
        f"{on_record}(message, {code.event}, {key}, {timestamp}, {is_own}, {{{arguments}}}{given})"
    )


def _given(entry: Entry, stage: str) -> list[str]:
    """What stages behind a keyed stage mention of stages before it, where the run goes on."""
    graph = entry.graph
    action = graph.by_name[stage].keyed
    if action is None or not action.is_per_record:
        return []
    before = graph.ancestors[stage]
    if graph.by_name[stage].calling is not None:  # what is refused may come back to this stage
        return list(graph.crossing(stage))
    mentioned = {name for target in graph.by_name[stage].targets for name in graph.wanted[target]}
    return sorted(
        name for name in mentioned if name == "trigger.event" or name.partition(".")[2] in before
    )


def _write_fold(code: StageCode, fold: Fold) -> None:
    stage = f"task.stage({code.node.name!r})"
    of_task = code.writer.of_task
    timestamp = code.timestamp()
    key = code.variable("key")
    code.line(
        f"{key} = {f'key_bytes({code.scope.key})' if code.scope.is_key_set else 'message.key()'}"
    )
    with code.block(f"if {key} is None:"):
        code.line("no_key()")
    accumulators, accumulator = code.variable("accumulators"), code.variable("accumulator")
    if fold.ttl_ms is not None:
        recall, keep = (
            of_task(f"{stage}.recall_key", "recall"),
            of_task(f"{stage}.keep_key", "keep"),
        )
        code.line(f"{accumulator} = {recall}({key})")
        fold.add(code, accumulator, timestamp)
        code.line(f"{keep}({key}, {accumulator}, {timestamp})")
        return
    load = of_task(f"{stage}.load", "load")
    if not fold.bin_ms:
        changed = of_task(f"{stage}.live_without_bins", "changed")
        code.line(f"{accumulator} = {changed}.get({key})")
        with code.block(f"if {accumulator} is None:"):
            code.line(f"{accumulator} = {load}(0, {key})")
        fold.add(code, accumulator, timestamp)
        code.line(f"{changed}[{key}] = {accumulator}")
        return
    start = code.variable("start")
    live, open_bin = of_task(f"{stage}.live", "live"), of_task(f"{stage}.open", "open")
    code.line(f"{start} = {timestamp} - {timestamp} % {fold.bin_ms}")
    code.line(f"{accumulators} = {live}.get({start})")
    with code.block(f"if {accumulators} is None:"):
        code.line(f"{accumulators} = {open_bin}({start})")
    with code.block(f"if {accumulators} is None:"):
        late = of_task(f"{stage}.late", "late")
        code.line(f"{late}(message, {code.event})")
    with code.block("else:"):
        code.line(f"{accumulator} = {accumulators}.get({key})")
        with code.block(f"if {accumulator} is None:"):
            code.line(f"{accumulator} = {load}({start}, {key})")
        fold.add(code, accumulator, timestamp)
        code.line(f"{accumulators}[{key}] = {accumulator}")


def write_results(writer: Writer, entry: Entry) -> None:
    """The functions by which a keyed stage sends events on: `forward`, `route_<i>` per further output, `late`, `result`."""
    node = entry.node
    action = node.keyed
    assert action is not None
    scope = Scope(is_owned=False, is_shared=True)
    fold = action.fold()
    if fold is not None:
        header = "def result(message, key, start, end, accumulator):"
        with writer.block(header), writer.attempt():
            _write_result(writer, entry, fold)
    else:
        with writer.block("def forward(message, event, given=NOTHING):"), writer.attempt():
            _write_forward(writer, entry, scope)
    plain = Scope(is_owned=False, is_shared=True)
    for i, target in enumerate(action.outputs()):
        with writer.block(f"def route_{i}(message, event, given=NOTHING):"), writer.attempt():
            writer.stage(entry, entry.graph.by_name[target], plain, sender=node.name)
    if action.late_topic is not None:
        with writer.block("def late(message, event):"), writer.attempt():
            code = StageCode(writer, entry, node, plain)
            with writer.at(code.place):
                code.produce(repr(action.late_topic), is_topic_constant=True, value_format="json")
    if node.calling is not None:
        header = "def refused(message, event, error, given=NOTHING):"
        place = StageCode(writer, entry, node, plain).place
        with writer.block(header), writer.attempt(), writer.at(place):
            writer.line("raise error")
        return
    place = StageCode(writer, entry, node, replace(plain, event="")).place
    header = "def guarded(message, call, key, *arguments):"
    with writer.block(header), writer.attempt(), writer.at(place):
        writer.line("call(key, *arguments)")


def _write_forward(writer: Writer, entry: Entry, scope: Scope) -> None:
    with writer.at(StageCode(writer, entry, entry.node, scope).place):
        for name in _given(entry, entry.node.name):
            variable = writer.variable("result", name)
            writer.line(f"{variable} = given and given.get({name!r})")
            scope = replace(scope, results={**scope.results, name: variable})
    writer.downstream(entry, entry.node, scope)


def _write_result(writer: Writer, entry: Entry, fold: Fold) -> None:
    timestamp = "(end - 1)" if fold.bin_ms else None
    scope = Scope(
        event="result",
        is_owned=True,
        is_shared=True,  # an accumulator may hold what a user's field held
        is_object=True,
        message_key="key",
        has_headers=False,
        timestamp=timestamp,
    )
    code = StageCode(writer, entry, entry.node, scope)
    with writer.at(code.place):
        fields = [("key", "decode_key(key)")]
        if fold.bin_ms:
            fields += [("start", "start"), ("end", "end")]
        fields += fold.result(code, "accumulator")
        event = code.variable("event", "event")
        code.line(f"{event} = {{{', '.join(f'{name!r}: {source}' for name, source in fields)}}}")
    writer.downstream(entry, entry.node, replace(code.scope, event=event))
