"""What a flow compiles to: sub-topologies, topics and stores."""

from headrace.runtime.plan.build import DEFAULT_PREFIX, build_plan
from headrace.runtime.plan.feeds import feeds_of
from headrace.runtime.plan.model import (
    Plan,
    PlannedSource,
    PlannedStore,
    PlannedTopic,
    SubTopology,
    Via,
)

__all__ = [
    "DEFAULT_PREFIX",
    "Plan",
    "PlannedSource",
    "PlannedStore",
    "PlannedTopic",
    "SubTopology",
    "Via",
    "build_plan",
    "feeds_of",
]
