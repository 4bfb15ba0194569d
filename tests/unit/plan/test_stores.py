"""What a plan says of the state of stages: where it is, and what it looks like."""

from dataclasses import replace

import pytest

from headrace import flow
from headrace.runtime.errors import FlowError
from headrace.runtime.plan import Plan
from headrace.runtime.state.codec import decode, encode
from tests.unit.running import plans_of

TOTALS = """
name: shop
stages:
  - {name: orders, action: kafka, config: {topics: orders}, out: totals}
  - {name: totals, action: reduce, config: {key: event.user, aggregate: {n: count()}}, out: sink}
  - {name: sink, action: publish, config: {topic: results}}
"""
ZIPPED = """
name: shop
stages:
  - {name: orders, action: kafka, config: {topics: orders}, out: both}
  - {name: payments, action: kafka, config: {topics: payments}, out: both}
  - {name: both, action: zip, config: {key: event.id}, out: sink}
  - {name: sink, action: publish, config: {topic: results}}
"""
ONCE = """
name: shop
stages:
  - {name: orders, action: kafka, config: {topics: orders}, out: once}
  - {name: once, action: dedupe, config: {key: event.user, by: event.id, within: 1h}, out: sink}
  - {name: sink, action: publish, config: {topic: results}}
"""


def plan_of(text: str) -> Plan:
    (plan,) = plans_of(text)
    return plan


def shape_of(text: str) -> object:
    (store,) = plan_of(text).stores
    return store.shape


def test_a_renamed_stage_keeps_its_topics_and_its_shape() -> None:
    renamed = TOTALS.replace("name: totals,", "name: sums, renamed_from: totals,")
    renamed = renamed.replace("out: totals", "out: sums")

    before, after = plan_of(TOTALS), plan_of(renamed)

    assert [store.stage for store in after.stores] == ["sums"]
    assert [topic.name for topic in after.topics] == [topic.name for topic in before.topics]
    assert after.stores[0].shape == before.stores[0].shape


def test_a_stage_made_in_python_can_be_renamed_too() -> None:
    made = flow("shop")
    sums = made.kafka("orders", topics="orders").reduce(
        "sums", key="event.user", aggregate={"n": "count()"}, renamed_from="totals"
    )
    sums.publish("sink", topic="results")

    (store,) = plans_of(made.build())[0].stores

    assert store == replace(plan_of(TOTALS).stores[0], stage="sums")


def test_tasks_keep_the_name_of_a_first_stage_that_was_renamed() -> None:
    renamed = TOTALS.replace("name: orders,", "name: sales, renamed_from: orders,")

    names = [sub.name for sub in plan_of(renamed).sub_topologies]

    assert names == [sub.name for sub in plan_of(TOTALS).sub_topologies] == ["orders", "totals"]


@pytest.mark.parametrize(
    ("stages", "line"),
    [
        (("name: totals,", "name: totals, renamed_from: sink,"), 6),
        (("name: sink,", "name: sink, renamed_from: totals,"), 6),
    ],
)
def test_a_stage_cannot_take_the_name_of_one_that_is_there(
    stages: tuple[str, str], line: int
) -> None:
    with pytest.raises(FlowError, match="would share the topics and the state of") as caught:
        plan_of(TOTALS.replace(*stages))

    (problem,) = caught.value.problems
    assert problem.place == f"<text>:{line}"


def test_the_key_is_part_of_the_shape_of_every_state() -> None:
    assert shape_of(ONCE) != shape_of(ONCE.replace("event.user", "event.session"))
    assert shape_of(ONCE) != shape_of(ONCE.replace("key: event.user, ", ""))
    assert shape_of(ONCE) == shape_of(ONCE.replace("within: 1h", "within: 2h"))


def test_inputs_of_a_zip_may_be_renamed_and_not_change_places() -> None:
    renamed = ZIPPED.replace("name: orders,", "name: sales, renamed_from: orders,")
    first, second = ZIPPED.splitlines()[3:5]
    swapped = ZIPPED.replace(f"{first}\n{second}", f"{second}\n{first}")

    assert shape_of(renamed) == shape_of(ZIPPED)
    assert shape_of(swapped) != shape_of(ZIPPED)


@pytest.mark.parametrize("text", [TOTALS, ZIPPED, ONCE])
def test_a_shape_comes_back_from_the_state_as_it_was(text: str) -> None:
    shape = shape_of(text)

    assert decode(encode(shape, None)) == shape
