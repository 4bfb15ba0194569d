"""The places at which records enter a plan's functions."""

from headrace.runtime.codegen.module import Entry, Module, Way
from headrace.runtime.codegen.writer import write_module
from headrace.runtime.contracts.action import TriggerAction
from headrace.runtime.plan import Plan


def entries_of(plan: Plan) -> tuple[Entry, ...]:
    """One entry per source and per keyed stage, in the order of the sub-topologies."""
    found = []
    for sub in plan.sub_topologies:
        places: list[tuple[str, Way]] = [(source.stage, source.via) for source in sub.sources]
        places += [(name, "results") for name in sub.keyed]
        for i, (stage, via) in enumerate(places):
            suffix = f"/{i}" if len(places) > 1 else ""
            found.append(
                Entry(
                    graph=plan.graph,
                    node=plan.graph.by_name[stage],
                    label=f"{plan.graph.flow.slug}/{sub.id}{suffix}",
                    link_topics=plan.link_topics,
                    crossing=plan.crossing,
                    carries_bytes=_carries_bytes(plan),
                    via=via,
                    is_timed=plan.is_stateful,
                )
            )
    return tuple(found)


def replay_entry(plan: Plan, stage: str) -> Entry:
    """The entry for events that failed at a stage and are sent back to it."""
    sub = plan.sub_topology_of(stage)
    return Entry(
        graph=plan.graph,
        node=plan.graph.by_name[stage],
        label=f"{plan.graph.flow.slug}/{sub.id}/replay-{plan.graph.by_name[stage].index}",
        link_topics={**plan.link_topics, stage: plan.replay_topic(sub)},
        crossing={**plan.crossing, stage: plan.graph.crossing(stage)},
        carries_bytes=_carries_bytes(plan),
        via="link",
        is_timed=plan.is_stateful,
        is_replay=True,
    )


def _carries_bytes(plan: Plan) -> bool:
    return any(
        isinstance(node.action, TriggerAction) and node.action.source().value_format == "bytes"
        for node in plan.graph.nodes
    )


def modules_of(plan: Plan) -> tuple[Module, ...]:
    """The generated code of one flow: a module per source of a sub-topology."""
    return tuple(write_module(entry.label, [entry]) for entry in entries_of(plan))
