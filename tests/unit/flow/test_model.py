import pickle
from datetime import timedelta

import pytest
from pydantic import ValidationError

from headrace.runtime.flow import Exponential, Flow, Policies, Retry, Stage, parse_flows, slug

DOCUMENT = """
name: orders
defaults: {on_error: skip, timeout: 5s}
stages:
  - name: in
    action: kafka
    out: big
  - name: big
    action: filter
    config:
      where: event.amount > 100
      nested:
        - a: 1
          b: 2
    on_error: fail
"""


def test_out_may_be_text_or_a_list() -> None:
    one = Stage.model_validate({"name": "a", "action": "map", "out": "b"})
    many = Stage.model_validate({"name": "a", "action": "map", "out": ["b"]})

    assert one == many
    assert one.out == ("b",)


def test_a_version_that_is_a_number_becomes_text() -> None:
    flow = Flow.model_validate(
        {"name": "a", "version": 3, "stages": [{"name": "a", "action": "b"}]}
    )

    assert flow.version == "3"


def test_a_flow_cannot_be_changed() -> None:
    stage = Stage(name="a", action="map")

    with pytest.raises(ValidationError):
        stage.name = "b"  # type: ignore[misc]  # what the test is about


def test_the_place_of_a_part_is_its_file_and_line() -> None:
    (flow,) = parse_flows(DOCUMENT, "orders.yaml")

    assert flow.place() == "orders.yaml:2"
    assert flow.place("stages", 1) == "orders.yaml:8"
    assert flow.place("stages", 1, "config", "where") == "orders.yaml:11"
    assert flow.place("stages", 1, "config", "nested", 0, "b") == "orders.yaml:14"
    assert flow.line("stages", 1, "on_error") == 15


def test_a_part_that_is_not_written_stands_where_the_part_around_it_does() -> None:
    (flow,) = parse_flows(DOCUMENT, "orders.yaml")

    assert flow.place("stages", 1, "config", "missing", 3) == "orders.yaml:10"
    assert flow.place("nowhere") == "orders.yaml:2"


def test_a_flow_made_in_python_has_no_places() -> None:
    flow = Flow(name="a", stages=(Stage(name="a", action="b"),))

    assert flow.place("stages", 0) == ""
    assert flow.line() == 0


def test_places_do_not_count_when_flows_are_compared_or_written() -> None:
    (here,) = parse_flows(DOCUMENT, "here.yaml")
    (there,) = parse_flows("# a comment\n\n" + DOCUMENT, "there.yaml")

    assert here == there
    assert here.model_dump() == there.model_dump()


def test_places_survive_a_copy_and_the_way_to_another_process() -> None:
    (flow,) = parse_flows(DOCUMENT, "orders.yaml")

    assert flow.model_copy(update={"enabled": False}).place("stages", 1) == "orders.yaml:8"
    assert pickle.loads(pickle.dumps(flow)).place("stages", 1) == "orders.yaml:8"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", "orders"),
        ("Orders_2.x-y", "Orders_2.x-y"),
        ("all my orders", "all-my-orders"),
        ("käse/2", "k-se-2"),
        (".", "-"),
        ("..", "--"),
    ],
)
def test_a_slug_holds_only_what_kafka_allows(name: str, expected: str) -> None:
    assert slug(name) == expected
    assert Flow(name=name, stages=(Stage(name=name, action="a"),)).slug == expected
    assert Stage(name=name, action="a").slug == expected


def test_flows_of_one_group_have_one_group_slug() -> None:
    stages = (Stage(name="a", action="b"),)

    assert Flow(name="my orders", stages=stages).group_slug == "my-orders"
    assert Flow(name="a", group="all orders", stages=stages).group_slug == "all-orders"


def test_a_stage_has_the_policies_of_its_flow_where_it_has_none_of_its_own() -> None:
    (flow,) = parse_flows(DOCUMENT)

    assert flow.policies(flow.stages[0]) == Policies(on_error="skip", timeout=timedelta(seconds=5))
    assert flow.policies(flow.stages[1]) == Policies(on_error="fail", timeout=timedelta(seconds=5))


def test_a_failing_record_goes_to_the_dead_letter_topic_unless_told_otherwise() -> None:
    flow = Flow(name="a", stages=(Stage(name="a", action="b"),))

    assert flow.policies(flow.stages[0]).on_error == "dead_letter"


def test_a_constant_backoff_pauses_the_same_every_time() -> None:
    retry = Retry.model_validate({"backoff": "2s"})

    assert [retry.pause(n, 0.9) for n in (1, 5)] == [timedelta(seconds=2)] * 2


def test_the_last_of_a_list_of_pauses_repeats() -> None:
    retry = Retry.model_validate({"backoff": ["1s", "5s"]})

    assert [retry.pause(n, 0.9).seconds for n in (1, 2, 3, 99)] == [1, 5, 5, 5]


def test_exponential_pauses_grow_up_to_their_cap() -> None:
    growth = Exponential(initial=timedelta(seconds=1), jitter=0.0, cap=timedelta(seconds=5))
    retry = Retry(backoff=growth)

    assert [retry.pause(n, 0.5).total_seconds() for n in (1, 2, 3, 4, 9_999)] == [1, 2, 4, 5, 5]


def test_jitter_moves_a_pause_by_at_most_its_part() -> None:
    growth = Exponential(initial=timedelta(seconds=10), jitter=0.2, cap=timedelta(hours=1))
    retry = Retry(backoff=growth)

    assert [retry.pause(1, chance).total_seconds() for chance in (0.0, 0.5, 1.0)] == [8, 10, 12]
