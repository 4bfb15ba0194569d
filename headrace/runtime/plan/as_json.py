"""The plan as plain data for other programs."""

from collections.abc import Mapping
from typing import Any

from headrace.runtime.contracts.broker import TopicDescription
from headrace.runtime.graph import Node
from headrace.runtime.plan.model import Plan, PlannedStore, PlannedTopic, SubTopology


def plan_document(
    plan: Plan, topics: Mapping[str, TopicDescription] | None = None
) -> dict[str, Any]:
    """Everything that the text says, as mappings, lists and text.

    `topics` are the plan's topics as they are on a cluster. Without them `exists` is null in every topic.
    """
    return {
        "flow": plan.name,
        "group": plan.group,
        "prefix": plan.prefix,
        "sub_topologies": [_sub_topology(plan, sub) for sub in plan.sub_topologies],
        "topics": [_topic(topic, topics) for topic in plan.topics],
        "stores": [_store(store) for store in plan.stores],
        "warnings": list(plan.warnings),
    }


def _sub_topology(plan: Plan, sub: SubTopology) -> dict[str, Any]:
    return {
        "id": sub.id,
        "name": sub.name,
        "sources": [
            {
                "stage": source.stage,
                "topics": list(source.topics),
                "pattern": source.pattern,
                "via": source.via,
                "is_link": source.is_link,
            }
            for source in sub.sources
        ],
        "stages": [_stage(plan.graph.by_name[name]) for name in sub.stages],
        "keyed": list(sub.keyed),
        "sinks": list(sub.sinks),
    }


def _stage(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "action": node.stage.action,
        "renamed_from": node.stage.renamed_from,
        "summary": node.action.summary(),
        "out": list(node.out),
        "routes": list(node.routes),
        "on_error": "stage" if node.handler is not None else node.on_error,
        "handler": node.handler,
    }


def _store(store: PlannedStore) -> dict[str, Any]:
    return {
        "stage": store.stage,
        "keeps": store.text,
        "changelog": store.changelog,
        "sub_topology": store.sub_topology,
        "shape": dict(store.shape),
    }


def _topic(topic: PlannedTopic, topics: Mapping[str, TopicDescription] | None) -> dict[str, Any]:
    found = (topics or {}).get(topic.name or "")
    return {
        "name": topic.name,
        "text": topic.text,
        "role": topic.role,
        "is_internal": topic.is_internal,
        "stages": list(topic.stages),
        "reason": topic.reason,
        "exists": None if topics is None or topic.name is None else found is not None,
        "partitions": found.partitions if found else None,
        "retention_ms": found.retention_ms if found else None,
    }
