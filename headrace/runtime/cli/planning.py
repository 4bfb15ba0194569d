"""From paths to checked plans, and what commands say of their topics."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

import re2

from headrace.runtime.duration import format_duration
from headrace.runtime.graph import check_paths
from headrace.runtime.plan import DEFAULT_PREFIX, Plan, build_plan
from headrace.runtime.plan.text import ROLES
from headrace.runtime.worker.groups import groups_of


def plans_of(paths: Sequence[str], prefix: str = DEFAULT_PREFIX) -> list[Plan]:
    """The plans of all flows in files and folders; those that are not enabled are among them.

    Raises:
        FlowError: with every problem of every document.
    """
    plans = [build_plan(graph, prefix) for graph in check_paths(paths)]
    groups_of(plans)
    return plans


def roles_of(plans: Sequence[Plan], existing: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What each topic is to the flows, as `orders: sink`; a pattern stands for the existing topics that match it."""
    existing = list(existing)
    known = frozenset(existing)
    found: dict[str, list[str]] = {}
    for plan in plans:
        for topic in plan.topics:
            if topic.name is not None:
                found.setdefault(topic.name, []).append(f"{plan.name}: {ROLES[topic.role]}")
        for name in pattern_matches(plan, existing):
            found.setdefault(name, []).append(f"{plan.name}: {ROLES['source']}")
        for sub in plan.sub_topologies:
            if (name := plan.replay_topic(sub)) in known:
                found.setdefault(name, []).append(f"{plan.name}: replay")
    return {name: tuple(dict.fromkeys(roles)) for name, roles in found.items()}


def pattern_matches(plan: Plan, existing: Iterable[str]) -> list[str]:
    """The existing topics that a flow reads by a pattern."""
    patterns = [
        re2.compile(source.pattern)
        for sub in plan.sub_topologies
        for source in sub.sources
        if source.pattern
    ]
    return [name for name in existing if any(pattern.fullmatch(name) for pattern in patterns)]


def kept_for(retention_ms: int) -> str:
    """A retention for people: a duration as documents write it, or `ever` for -1."""
    return "ever" if retention_ms < 0 else format_duration(timedelta(milliseconds=retention_ms))
