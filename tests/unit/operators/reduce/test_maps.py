"""`reduce` of one list of maps, as `zip` sends it."""

from typing import Any

import pytest

from headrace.operators.reduce import Reduce
from headrace.operators.reduce.config import ReduceConfig
from headrace.runtime.errors import RecordError
from tests.unit.operators.emitted import forwarded


def made(event: Any, **config: Any) -> list[Any]:
    return forwarded(Reduce(ReduceConfig.model_validate(config)).specialised(), event)


def test_a_list_of_maps_goes_under_a_field() -> None:
    assert made([{"a": 1}, {"a": 2}], concat_field="all") == [{"all": [{"a": 1}, {"a": 2}]}]


def test_maps_are_merged_and_later_ones_win() -> None:
    event = [{"a": 1, "b": 1}, {"b": 2}, {}]

    assert made(event, merge=True) == [{"a": 1, "b": 2}]
    assert event == [{"a": 1, "b": 1}, {"b": 2}, {}]


@pytest.mark.parametrize("config", [{"merge": True}, {"concat_field": "x"}])
@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"a": 1}, "reduce takes a list of maps, found a map"),
        (None, "found null"),
        ([{}, 1], "found a number at position 1"),
    ],
)
def test_anything_else_is_refused(config: Any, event: Any, error: str) -> None:
    with pytest.raises(RecordError, match=error):
        made(event, **config)
