"""Stores that are damaged, empty or behind: what is missing comes from the changelogs, also when that is killed."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.runtime.task.commit import Step
from tests.crash.conftest import PipeFactory, StatefulFactory
from tests.crash.stateful import VICTIM
from tests.crash.stores import changelogs, check_equal, regions, settle
from tests.crash.workers import ready

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

KEYS = 300_000
WINDOW_KEYS = 60_000
MINUTE_MS = 60_000
TODAY_MS = int(time.time()) // 86_400 * 86_400_000


def test_a_restore_that_is_killed_goes_on_from_its_checkpoint(
    kafka_brokers: str, pipe_of: PipeFactory
) -> None:
    pipe = pipe_of(kafka_brokers, "{aggregate: {count: count()}}")
    pipe.send((f"key-{n}", TODAY_MS, {"n": n}) for n in range(KEYS))
    first = pipe.start()
    pipe.wait_read()
    pipe.stop(first)
    shutil.rmtree(pipe.state_dir)
    end = changelogs(pipe.brokers, f"headrace.{pipe.name}")[pipe.changelog].end

    checkpoints = [0]
    for _ in range(3):
        pipe.wait_killed(pipe.start("restore", 8))
        checkpoint = regions(pipe.store)[pipe.changelog].checkpoint
        assert checkpoint is not None
        checkpoints.append(checkpoint)
    again = pipe.start()
    pipe.send((f"key-{n}", TODAY_MS, {"n": n}) for n in range(0, KEYS, 100))
    pipe.wait_read()
    pipe.stop(again)

    assert checkpoints == sorted(set(checkpoints)), (
        "each went on where the one before it was killed"
    )
    assert checkpoints[-1] < end, "all of them were killed before they were done"
    check_equal(regions(pipe.store), changelogs(pipe.brokers, f"headrace.{pipe.name}"))
    results = pipe.results(KEYS + KEYS // 100)
    assert [one["count"] for one in results] == [1] * KEYS + [2] * (KEYS // 100)


def test_a_worker_that_dies_while_it_closes_a_window_of_many_keys_sends_each_result_once(
    kafka_brokers: str, pipe_of: PipeFactory
) -> None:
    config = "{key: event.group, window: {tumbling: 1m}, aggregate: {count: count()}, emit: final}"
    pipe = pipe_of(kafka_brokers, config, commit_interval="5ms")
    groups = [f"group-{n % WINDOW_KEYS}" for n in range(2 * WINDOW_KEYS)]
    pipe.send(("key", TODAY_MS + n % 50_000, {"n": n, "group": g}) for n, g in enumerate(groups))
    worker = pipe.start()
    pipe.wait_read()
    pipe.stop(worker)
    pipe.send([("key", TODAY_MS + 3 * MINUTE_MS, {"n": -1})])

    interrupted = 0
    for turn in range(12):
        worker = pipe.start(Step.DONE - turn % 4, commit=2)
        while worker.poll() is None and len(pipe.results(0)) < WINDOW_KEYS:
            pass  # to look takes a second
        if worker.poll() is None:
            worker.murder()  # it has closed the window, and rests
            break
        worker.end()
        settle(pipe.brokers, f"headrace.{pipe.name}", VICTIM)
        interrupted += b"cursor" in regions(pipe.store)[pipe.changelog].entries[b"mtime"]
    last = pipe.start()
    ready(last)
    results = pipe.results(WINDOW_KEYS)
    pipe.stop(last)

    assert interrupted, "no worker died in the midst of a window"
    assert len(results) == WINDOW_KEYS
    assert {one["key"]: one["count"] for one in results} == dict.fromkeys(groups, 2)


def cut(files: list[Path]) -> None:
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def scramble(files: list[Path]) -> None:
    for file in files:
        file.write_bytes(b"garbage " * (file.stat().st_size // 8 + 1))


def delete(files: list[Path]) -> None:
    for file in files:
        file.unlink()


DAMAGES: dict[str, tuple[str, Callable[[list[Path]], None]]] = {
    "data cut": ("*.sst", cut),
    "data scrambled": ("*.sst", scramble),
    "data gone": ("*.sst", delete),
    "CURRENT scrambled": ("CURRENT", scramble),
    "CURRENT gone": ("CURRENT", delete),
    "MANIFEST cut": ("MANIFEST-*", cut),
    "MANIFEST scrambled": ("MANIFEST-*", scramble),
}


def test_damaged_files_are_noticed_wiped_and_restored(
    kafka_brokers: str, stateful_of: StatefulFactory
) -> None:
    crash = stateful_of(kafka_brokers, instance_id=VICTIM)
    crash.feed(per_second=300)
    store = crash.state_dir / crash.group / VICTIM / "store"

    for name, (pattern, damage) in DAMAGES.items():
        worker = crash.start()
        ready(worker)
        crash.wait_progress()
        crash.stop(worker)
        crash.check_equal()
        files = list(store.glob(pattern))
        assert files, name
        damage(files)
        worker = crash.start()
        crash.wait_progress()
        # A list of files that is cut between two entries is whole to RocksDB: it tells of an earlier state.
        while "wiped and restored" not in worker.logged and name != "MANIFEST cut":
            assert worker.poll() is None, f"{name}: {worker.logged[-4000:]}"
            time.sleep(0.1)
        crash.stop(worker)
        crash.check_equal()
    crash.end_feed()
    last = crash.start()
    crash.wait_done()
    crash.stop(last)

    crash.check_equal()
