"""What writes to the topics of a flow's triggers."""

from collections.abc import Iterator

from headrace.runtime.contracts.action import TriggerAction
from headrace.runtime.contracts.feed import Feed
from headrace.runtime.plan.model import Plan


def feeds_of(plan: Plan) -> Iterator[tuple[str, Feed]]:
    """The feeds of a flow's triggers, with the names of their stages."""
    for node in plan.graph.nodes:
        if isinstance(node.action, TriggerAction):
            feed = node.action.feed()
            if feed is not None:
                yield node.name, feed
