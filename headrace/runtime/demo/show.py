"""Says what came out of the demo."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from headrace.runtime.cli.output import count, print_table, stdout
from headrace.runtime.demo.flights import FLIGHTS
from headrace.runtime.demo.run import Hour, Outcome

WORST = 5
BUSY = 10
"""Departures that an hour must have to be among the worst."""


def worst_hours(hours: Iterable[Hour]) -> list[Hour]:
    """The busy hours with the largest mean delay."""
    busy = [hour for hour in hours if hour["departures"] >= BUSY]
    return sorted(busy, key=lambda hour: -hour["delay"])[:WORST]


def mean_delay(hours: Iterable[Hour]) -> float | None:
    """The mean delay of all departures of these hours, in minutes."""
    chosen = list(hours)
    departures = sum(hour["departures"] for hour in chosen)
    total = sum(hour["delay"] * hour["departures"] for hour in chosen)
    return total / departures if departures else None


def by_rain(hours: Sequence[Hour]) -> dict[str, float | None]:
    """The mean delay of flights that departed in hours with rain, and in those without."""
    is_wet = [(hour, hour["weather"]["precip"] > 0) for hour in hours if hour["weather"]]
    return {
        "rain": mean_delay(hour for hour, wet in is_wet if wet),
        "no rain": mean_delay(hour for hour, wet in is_wet if not wet),
    }


def document(outcome: Outcome) -> dict[str, Any]:
    """What came out as plain data."""
    return {
        "where": outcome.where,
        "flights": FLIGHTS,
        "seconds": round(outcome.seconds, 3),
        "per_second": round(_per_second(outcome)),
        "failed": outcome.failed,
        "departures": sum(hour["departures"] for hour in outcome.hours),
        "hours": len(outcome.hours),
        "mean_delay": by_rain(outcome.hours),
        "worst": worst_hours(outcome.hours),
    }


def show(outcome: Outcome) -> None:
    """Tell what came out, how fast, and where to look next."""
    console = stdout()
    console.print(f"\n{count(FLIGHTS)} flights on {outcome.where}", style="bold", soft_wrap=True)
    console.print("\nthe hours of 2013 with the longest delays:", soft_wrap=True)
    headings = ["hour (UTC)", "airport", "departures", "mean delay", "rain", "wind", "latest"]
    print_table(console, headings, [_row(hour) for hour in worst_hours(outcome.hours)], "  >>>>")
    delays = by_rain(outcome.hours)
    console.print(
        f"\nmean delay of all departures with rain {_minutes(delays['rain'])}, without {_minutes(delays['no rain'])}",
        soft_wrap=True,
    )
    console.print(
        f"\n{count(FLIGHTS)} flights in {outcome.seconds:.2f} s: {count(round(_per_second(outcome)))} flights/s,"
        f" {count(len(outcome.hours))} results, exactly once, {count(outcome.failed)} failed",
        style="bold",
        soft_wrap=True,
    )
    console.print(
        "\nwhere to look next\n"
        "  headrace plan --code FLOW    the Python functions that a flow compiles to\n"
        "  headrace broker start        a Kafka that stays; then headrace demo again, and headrace topics\n"
        "  headrace test FLOW           a flow's test cases, without a broker\n"
        "  README.md, examples/         flows of your own",
        soft_wrap=True,
    )


def _row(hour: Hour) -> list[str]:
    begin = datetime.fromtimestamp(hour["start"] / 1000, UTC)
    weather = hour["weather"] or {}
    airline = hour["airline"] or {"name": hour["latest"][0]["carrier"]}
    return [
        f"{begin:%Y-%m-%d %H:%M}",
        hour["key"],
        count(hour["departures"]),
        _minutes(hour["delay"]),
        _measured(weather.get("precip"), "in"),
        _measured(weather.get("wind_speed"), "mph"),
        f"{airline['name']}, {hour['latest'][0]['delay']} min",
    ]


def _minutes(number: float | None) -> str:
    return _measured(number, "min")


def _measured(number: float | None, unit: str) -> str:
    return "-" if number is None else f"{number:.1f} {unit}"


def _per_second(outcome: Outcome) -> float:
    return FLIGHTS / outcome.seconds if outcome.seconds else 0.0
