"""How far event time may have come behind a repartition topic, told by what was sent and when partitions fell silent."""

from collections.abc import Iterable

from tests.property.windowed_flow import Arrival

IDLE_CUT = "wait"
"""The step in which no partition has anything to read for longer than `idle_after`."""


def watermarks_behind(sent: Iterable[Arrival], partitions: int) -> list[int]:
    """The most that the watermark can be when each record comes out of the repartition topic; -1 for unknown.

    The smallest over the partitions that have not fallen silent, or the largest when all have. One of which nothing came yet
    and which has not fallen silent holds it up. It never goes back.
    """
    highs = dict.fromkeys(range(partitions), -1)
    idle: set[int] = set()
    reached = -1
    found = []
    for one in sent:
        found.append(reached)
        highs[one.partition] = max(highs[one.partition], one.time)
        idle.discard(one.partition)
        reached = max(reached, _watermark(highs, idle))
        if one.cut == IDLE_CUT:
            idle = set(highs)
            reached = max(reached, _watermark(highs, idle))
    return found


def _watermark(highs: dict[int, int], idle: set[int]) -> int:
    busy = [high for partition, high in highs.items() if partition not in idle]
    return min(busy) if busy else max(highs.values())
