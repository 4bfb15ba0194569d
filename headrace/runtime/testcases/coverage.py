"""Which stages and routes of flows were reached."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from headrace.runtime.codegen import entries_of, write_module
from headrace.runtime.plan import Plan


class CoveragePlace(NamedTuple):
    """A stage (with an empty route), or one of the ways on from it: `route 1`, `otherwise`, `passed`, `dropped`."""

    flow: str
    stage: str
    route: str = ""

    def __str__(self) -> str:
        """What it means that the place was not reached."""
        if not self.route:
            return f"stage '{self.stage}' never reached"
        if self.route in ("passed", "dropped"):
            return f"filter '{self.stage}' never {self.route} a record"
        return f"{self.route} of '{self.stage}' never taken"


@dataclass(frozen=True)
class Coverage:
    """What was reached of all there is, in the order of the flows' stages."""

    reached: tuple[CoveragePlace, ...]
    missed: tuple[CoveragePlace, ...]

    @property
    def percent(self) -> float:
        """Reached places of all, from 0 to 100."""
        total = len(self.reached) + len(self.missed)
        return 100.0 * len(self.reached) / total if total else 100.0

    @property
    def gaps(self) -> tuple[str, ...]:
        """A line per missed place; the routes of a stage that was never reached go without saying."""
        stages = {place[:2] for place in self.missed if not place.route}
        flows = {place.flow for place in (*self.reached, *self.missed)}
        return tuple(
            f"flow '{place.flow}': {place}" if len(flows) > 1 else str(place)
            for place in self.missed
            if not place.route or place[:2] not in stages
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"percent": round(self.percent, 1), "gaps": list(self.gaps)}


def coverage_of(plans: Sequence[Plan], visited: Iterable[CoveragePlace]) -> Coverage:
    """What `visited` has reached of the plans."""
    seen = set(visited)
    places = _places(plans)
    return Coverage(
        reached=tuple(place for place in places if place in seen),
        missed=tuple(place for place in places if place not in seen),
    )


def _places(plans: Sequence[Plan]) -> list[CoveragePlace]:
    found: list[CoveragePlace] = []
    for plan in plans:
        routes: dict[CoveragePlace, None] = {}
        for entry in entries_of(plan):
            module = write_module(entry.label, [entry], coverage=True)
            routes.update(dict.fromkeys(CoveragePlace(*route) for route in module.routes))
        for node in sorted(plan.graph.nodes, key=lambda node: node.index):
            found.append(CoveragePlace(plan.name, node.name))
            found += [place for place in routes if place.stage == node.name]
    return found
