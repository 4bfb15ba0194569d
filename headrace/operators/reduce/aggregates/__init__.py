"""The aggregates of `reduce`, one file per family."""

from collections.abc import Mapping
from typing import Final

from headrace.operators.reduce.aggregates.aggregate import Aggregate, Argument, At, Call
from headrace.operators.reduce.aggregates.extremes import Greatest, Least
from headrace.operators.reduce.aggregates.lists import Collect, CountDistinct, Distinct
from headrace.operators.reduce.aggregates.numbers import Count, Mean, Sum
from headrace.operators.reduce.aggregates.ranking import Bottom, Top
from headrace.operators.reduce.aggregates.reducer import Own
from headrace.operators.reduce.aggregates.sketch import Quantile
from headrace.operators.reduce.aggregates.times import First, Last

AGGREGATES: Final[Mapping[str, type[Aggregate]]] = {
    "count": Count,
    "sum": Sum,
    "min": Least,
    "max": Greatest,
    "mean": Mean,
    "first": First,
    "last": Last,
    "collect": Collect,
    "distinct": Distinct,
    "count_distinct": CountDistinct,
    "top": Top,
    "bottom": Bottom,
    "quantile": Quantile,
    "reducer": Own,
}

__all__ = ["AGGREGATES", "Aggregate", "Argument", "At", "Call"]
