from itertools import islice, pairwise
from typing import cast

from orjson import dumps

from benchmarks.input_topic import Input, events


def test_the_same_seed_gives_the_same_events() -> None:
    assert list(events(50)) == list(events(50))
    assert list(events(50)) != list(events(50, seed=2))


def test_more_events_begin_with_the_same_events() -> None:
    assert list(islice(events(1_000), 50)) == list(events(50))


def test_an_event_is_about_200_bytes_of_json() -> None:
    sizes = [len(dumps(event)) for event in events(1_000)]

    assert 170 < sum(sizes) / len(sizes) < 230


def test_event_times_are_a_millisecond_apart() -> None:
    times = [cast("int", event["time"]) for event in events(10)]

    assert [b - a for a, b in pairwise(times)] == [1] * 9


def test_what_comes_out_follows_from_the_positions_alone() -> None:
    source = Input("t", {0: bytearray([1, 0, 1, 1]), 1: bytearray([0, 0, 1])})

    assert source.kept_before({0: 3, 1: 3}) == 3
    assert source.kept_before({0: 4}) == 3
    assert source.kept_before({}) == 0
