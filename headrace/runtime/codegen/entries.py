"""The places at which records enter a plan's functions."""

from headrace.runtime.codegen.module import Entry, Module
from headrace.runtime.codegen.writer import write_module
from headrace.runtime.contracts.action import TriggerAction
from headrace.runtime.plan import Plan


def entries_of(plan: Plan) -> tuple[Entry, ...]:
    """One entry per trigger and per link topic, in the order of the sub-topologies."""
    carries_bytes = any(
        isinstance(node.action, TriggerAction) and node.action.source().value_format == "bytes"
        for node in plan.graph.nodes
    )
    return tuple(
        Entry(
            graph=plan.graph,
            node=plan.graph.by_name[source.stage],
            label=f"{plan.graph.flow.slug}/{sub.id}" + (f"/{i}" if len(sub.sources) > 1 else ""),
            link_topics=plan.link_topics,
            crossing=plan.crossing,
            carries_bytes=carries_bytes,
        )
        for sub in plan.sub_topologies
        for i, source in enumerate(sub.sources)
    )


def modules_of(plan: Plan) -> tuple[Module, ...]:
    """The generated code of one flow: a module per source of a sub-topology."""
    return tuple(write_module(entry.label, [entry]) for entry in entries_of(plan))
