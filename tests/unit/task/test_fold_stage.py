"""A stage that runs as accumulators: windows that close in parts, over several transactions, with aborts and restarts between."""

import pytest

from headrace.runtime.task import fold_stage
from tests.unit.task.one_task import FoldTask, Result, restarted

FINAL = "window: {tumbling: 10ms}, emit: final"
UPDATES = "window: {tumbling: 10ms}"
HOPPING = "window: {hopping: 20ms, every: 10ms}, emit: final"
HOPPING_UPDATES = "window: {hopping: 20ms, every: 10ms}"
KEYS = [f"k{number}" for number in range(9)]


@pytest.fixture
def three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a window sends three results; what is left follows by `work`."""
    monkeypatch.setattr(fold_stage, "FIRE_MAX", 3)


def filled(config: str) -> FoldTask:
    """Nine keys have a record at 5."""
    task = FoldTask(config)
    task.records(*((key, 5) for key in KEYS))
    return task


def test_a_record_behind_the_one_that_ends_its_window_is_late(three_at_once: None) -> None:
    task = filled(FINAL)

    task.records(("x", 10), ("k0", 6), ("k8", 6), ("new", 7))

    assert task.late == ["k0", "k8", "new"]
    task.work()
    assert sorted(task.results) == [(key, 10, 1) for key in KEYS]


def test_an_update_is_not_changed_by_records_behind_the_end_of_its_window(
    three_at_once: None,
) -> None:
    task = filled(UPDATES)

    task.records(("x", 10), ("k0", 6), ("k8", 6))

    assert task.late == ["k0", "k8"]
    task.work()
    task.commit()
    assert sorted(task.committed) == [*((key, 10, 1) for key in KEYS), ("x", 20, 1)]


def test_a_record_that_is_late_for_one_of_its_windows_only_is_not_in_that_one(
    three_at_once: None,
) -> None:
    task = FoldTask(HOPPING)
    task.records(*((key, 15) for key in KEYS))

    task.records(("x", 20), *((key, 16) for key in KEYS))

    task.work()
    assert sorted(task.results) == [(key, 20, 1) for key in KEYS]
    task.records(("x", 30))
    task.work()
    assert sorted(task.results[len(KEYS) :]) == [*((key, 30, 2) for key in KEYS), ("x", 30, 1)]


def test_a_record_of_an_open_window_waits_for_no_commit_that_is_needed_to_drop_a_closed_one(
    three_at_once: None,
) -> None:
    task = FoldTask(HOPPING)
    task.records(*((key, 5) for key in KEYS), *((key, 15) for key in KEYS))
    task.work()
    task.commit()
    task = restarted(task, HOPPING)  # so that bins are dropped key by key

    task.records(("x", 1_000), ("k0", 995))

    wanted = [(key, end, n) for key in KEYS for end, n in ((20, 2), (30, 1))]
    assert sorted(task.results) == wanted
    assert task.late == []


def test_an_update_of_a_closed_window_is_not_sent_again(three_at_once: None) -> None:
    task = FoldTask(HOPPING_UPDATES)
    task.records(*((key, 15) for key in KEYS), *((f"old{key}", 5) for key in KEYS))

    task.records(("x", 20), ("k0", 16))
    task.work(1)
    task.commit()

    assert (("k0", 20, 1) in task.committed, ("k0", 20, 2) in task.committed) == (True, False)
    assert ("k0", 30, 2) in task.committed


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("is_flushed", [False, True])
def test_a_window_that_is_closed_over_many_transactions_tells_each_result_once(
    three_at_once: None, budget: int, is_restarted: bool, is_flushed: bool
) -> None:
    task = filled(FINAL)
    task.commit()
    committed = []
    task.records(("x", 10))
    for _ in range(40):
        task.commit(is_flushed=is_flushed or is_restarted)
        committed += task.committed
        task.committed = []
        if is_restarted:
            task = restarted(task, FINAL)
        if not task.task.has_work:
            break
        task.work(budget)

    assert sorted(committed) == [(key, 10, 1) for key in KEYS]


@pytest.mark.parametrize("budget", [1, 2, 3, 4])
def test_what_an_aborted_transaction_had_sent_of_a_window_is_sent_again(
    three_at_once: None, budget: int
) -> None:
    task = filled(FINAL)
    task.commit()
    task.records(("x", 10))
    task.commit()
    for number in range(80):
        if not task.task.has_work:
            break
        task.work(budget)
        if number % 2:
            task.commit()
        else:
            task.abort()

    assert sorted(task.committed) == [(key, 10, 1) for key in KEYS]
    assert not [key for key in task.stored() if key.endswith(b"k0")]


@pytest.mark.parametrize("is_aborted", [False, True])
def test_windows_that_are_due_close_after_a_restart_or_abort_though_no_record_comes(
    three_at_once: None, is_aborted: bool
) -> None:
    task = FoldTask(FINAL)
    task.records(*((key, 10 * n + 5) for n in range(4) for key in KEYS[:3]))
    task.commit()
    task.records(("x", 40))  # that ends all four, and sends on the results of the first two
    task.commit()

    if is_aborted:
        task.work(1)
        task.abort()
    else:
        before, task = task, restarted(task, FINAL)
        task.committed = before.committed

    while task.task.has_work:
        task.work(2)
        task.commit()
    ends = (10, 20, 30, 40)
    assert sorted(task.committed) == sorted((key, end, 1) for key in KEYS[:3] for end in ends)


@pytest.mark.parametrize("config", [FINAL, UPDATES, HOPPING, HOPPING_UPDATES])
def test_nothing_is_left_of_a_closed_window(three_at_once: None, config: str) -> None:
    task = filled(config)
    task.commit()
    task.records(("x", 1_000))
    while task.task.has_work:
        task.commit()
        task.work(4)
    task.commit()

    assert {key[9:] for key in task.changelog if key[:1] == b"w"} == {b"x"}
    assert {key[9:] for key in task.stored() if key[:1] == b"w"} == {b"x"}


def test_results_every_so_often_are_sent_again_after_an_abort() -> None:
    task = FoldTask("window: {tumbling: 10ms}, emit: {every: 10s}")
    task.records(("a", 5))
    task.commit()
    task.clock.advance(10)
    task.task.fire_wall(task.clock.now_ms())
    assert task.results == [("a", 10, 1)]

    task.abort()

    assert task.task.wall_due() <= task.clock.now_ms()
    task.task.fire_wall(task.clock.now_ms())
    assert task.results == [("a", 10, 1)]


def test_late_records_of_an_aborted_transaction_are_not_counted() -> None:
    task = filled(FINAL)
    task.records(("x", 10))
    task.commit()
    task.records(("k0", 5))
    task.abort()

    assert task.stage.counted_late() == 0


def test_the_changelog_and_the_store_are_equal_after_every_commit(three_at_once: None) -> None:
    task = FoldTask(HOPPING)
    for time in range(0, 100, 3):
        task.records(*((key, time) for key in KEYS[: time % 7]), ("x", time))
        task.work(2)
        if time % 2:
            task.abort()
            task.work(1)
        task.commit()

        assert task.stored() == task.changelog


def test_a_key_is_forgotten_when_its_time_is_over_whether_it_is_in_memory_or_not() -> None:
    def counts(*, is_restarted: bool) -> list[Result]:
        config = "ttl: 100ms"
        task = FoldTask(config)
        task.records(("a", 5))
        task.commit(is_flushed=is_restarted)
        if is_restarted:
            task = restarted(task, config)
        task.records(("b", 200), ("a", 201))
        task.commit()
        return sorted(task.committed)[-2:]

    assert counts(is_restarted=False) == counts(is_restarted=True) == [("a", 0, 1), ("b", 0, 1)]


def test_what_has_expired_is_deleted_though_the_transaction_that_first_did_so_was_aborted() -> None:
    task = FoldTask("ttl: 100ms")
    for number, key in enumerate(KEYS):
        task.records((key, number))
        task.commit()
    task.records(("x", 500))
    task.write()
    task.abort()
    task.records(("x", 500))
    task.commit()

    assert {key[9:] for key in task.changelog if key[:1] == b"w"} == {b"x"}
