"""What a flow compiles to: sub-topologies, topics and stores."""

from headrace.runtime.plan.build import DEFAULT_PREFIX, build_plan
from headrace.runtime.plan.model import Plan, PlannedSource, PlannedTopic, SubTopology

__all__ = [
    "DEFAULT_PREFIX",
    "Plan",
    "PlannedSource",
    "PlannedTopic",
    "SubTopology",
    "build_plan",
]
