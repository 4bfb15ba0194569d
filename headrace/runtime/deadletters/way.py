"""The way back to the stage in which a record failed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import re2

from headrace.runtime.contracts.action import InlineAction
from headrace.runtime.contracts.broker import Headers, TopicPartition
from headrace.runtime.deadletters.letter import EDITED, Letter
from headrace.runtime.errors import RecordError
from headrace.runtime.flow.suggestion import did_you_mean
from headrace.runtime.graph import Graph, Node
from headrace.runtime.plan import Plan, PlannedSource, SubTopology
from headrace.runtime.task.records import REPLAY
from headrace.runtime.task.stage_event import VALUE

REPLAYED_RUN = "headrace-replayed-run"
"""The run that failed, where the record starts another one."""


@dataclass(frozen=True)
class Way:
    """Where a letter enters the flow again.

    `repeats` are stages that have done their work for this record already, would do it again, and tell the world: they
    write, call, or keep state. A way without any is exact.
    """

    to: TopicPartition
    headers: Headers
    repeats: tuple[str, ...]
    is_own_topic: bool
    """Whether nobody but the flow reads the topic."""
    partitions: int = 0
    """Where the topic is made when it is needed, how many partitions it must have; else 0."""


def way_to_stage(plan: Plan, letter: Letter, existing: Mapping[str, int]) -> Way | None:
    """How the event of a letter goes back to its stage; None where the letter does not hold what that takes.

    No other stage sees the event again, but where the stage had sent on a part of it, those behind it see that part again.
    The event goes to the partition whose task has the state of its key. `existing` are the partitions of each topic there is.
    """
    node, source = plan.graph.by_name.get(letter.stage), letter.source
    if not letter.enters or node is None or source is None:
        return None
    if node.is_trigger or node.name in plan.link_topics:
        return None  # the document has changed
    sub = plan.sub_topology_of(node.name)
    count = _tasks(plan, sub, existing)
    keeps_place = plan.is_stateful and not sub.tells_by_input
    partition = source.partition if keeps_place else source.partition % max(count, 1)
    if partition >= count:
        return None
    told = [pair for pair in letter.headers if pair[0] not in (VALUE, EDITED, REPLAY, REPLAYED_RUN)]
    headers = [*told, (REPLAY, node.name.encode())]
    to = TopicPartition(plan.replay_topic(sub), partition)
    repeats = tuple(_behind(plan.graph, node)) if letter.is_partly_done else ()
    return Way(to, headers, repeats, is_own_topic=True, partitions=count)


def _behind(graph: Graph, failed: Node) -> Iterator[str]:
    """Stages with effects that get what a stage sends on."""
    return (one.name for one in graph.fused(failed.name) if _has_effects(graph, one, None))


def _tasks(plan: Plan, sub: SubTopology, existing: Mapping[str, int]) -> int:
    """How many partitions the replay topic of a sub-topology has; 0 where nobody would read it."""
    if not plan.is_stateful or sub.tells_by_input:
        return existing.get(plan.home_topic(sub) or "", 0)
    found = [n for topic, n in existing.items() if any(_reads(s, topic) for s in sub.sources)]
    return max(found, default=0)


def way_of(plan: Plan, letter: Letter) -> Way:
    """How a letter goes back: through the topic that the failing record was read from.

    Raises:
        RecordError: there is no way any more; says why.
    """
    node = plan.graph.by_name.get(letter.stage)
    if not letter.stage or letter.source is None:
        raise RecordError("it does not tell where it failed; something else than headrace wrote it")
    if node is None:
        hint = did_you_mean(letter.stage, plan.graph.by_name)
        raise RecordError(f"the flow has no stage '{letter.stage}' any more{hint}")
    entries = [source for source in _sources(plan) if _reads(source, letter.source.topic)]
    if not entries:
        raise RecordError(
            f"it was read from '{letter.source.topic}', which the flow does not read any more"
        )
    if any(source.via == "table" for source in entries):
        raise RecordError(
            f"it is a row of the table '{letter.source.topic}'; write a better row to that topic"
        )
    graph = plan.graph
    if not any(_comes_to(graph, source.stage, node) for source in entries):
        raise RecordError(
            f"the flow has changed: stage '{node.name}' is not behind '{letter.source.topic}' any more"
        )
    repeated = dict.fromkeys(
        one
        for source in entries
        for one in _repeated(graph, source.stage, node, is_partly_done=letter.is_partly_done)
    )
    is_own = any(source.is_link for source in entries)
    back: Headers = [(REPLAY, node.name.encode())]
    if is_own:
        back += letter.carried
    else:
        back.append((REPLAYED_RUN, letter.told("run").encode()))
    return Way(letter.source, [*letter.user_headers, *back], tuple(repeated), is_own)


def _sources(plan: Plan) -> Iterator[PlannedSource]:
    return (source for sub in plan.sub_topologies for source in sub.sources)


def _reads(source: PlannedSource, topic: str) -> bool:
    if source.pattern:
        return re2.compile(source.pattern).fullmatch(topic) is not None
    return topic in source.topics


def _comes_to(graph: Graph, entry: str, failed: Node) -> bool:
    """Whether records come from an entry to a stage, or to the topic in front of it, where its key is computed."""
    through = {node.name for node in graph.fused(entry)}
    return failed.name in through or bool(through.intersection(graph.inputs[failed.name]))


def _repeated(graph: Graph, entry: str, failed: Node, *, is_partly_done: bool) -> Iterator[str]:
    """Stages with effects that records pass from the entry on without having to pass the one that failed.

    Where a stage on the way makes many events of one, the others have gone on: then all that is behind it is repeated.
    """
    through = {node.name: node for node in graph.fused(entry)}
    fans_out = is_partly_done or any(
        node.fans_out
        for name, node in through.items()
        if name == failed.name or name in graph.ancestors[failed.name]
    )
    todo, seen = [entry], set[str]()
    while todo:
        name = todo.pop()
        if name in seen or (name == failed.name and not fans_out):
            continue
        seen.add(name)
        node = through[name]
        todo += [one for one in _reached(graph, node, failed) if one in through]
    yield from (
        name for name in through if name in seen and _has_effects(graph, through[name], failed)
    )


def _reached(graph: Graph, node: Node, failed: Node) -> Iterator[str]:
    """The stages that a record went to which also came to the one that failed; not the handler, as it did not fail here."""
    yield from node.out
    if node.stage.action != "branch" or node.action.config.mode != "first":
        yield from node.routes
        return
    config = node.action.config
    ways = [*(route.to for route in config.routes), config.otherwise]
    before = {failed.name, *graph.ancestors[failed.name]}
    taken = [way for way in ways if before.intersection(way)]
    yield from (name for way in taken or ways for name in way)


def _has_effects(graph: Graph, node: Node, failed: Node | None) -> bool:
    if node.keyed is not None:
        return True
    if isinstance(node.action, InlineAction) and node.action.sinks():
        return True
    behind = (one for one in node.targets if graph.by_name[one].is_behind_topic(node.name))
    # What failed has not come to its topic.
    return any(failed is None or one != failed.name for one in behind)
