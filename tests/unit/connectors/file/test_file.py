"""The action `file`: what is in files, when they appear, and what a crash leaves."""

import asyncio
import errno
import gzip
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson
import pytest
from pyarrow import parquet

from headrace.connectors.file.action import File
from headrace.runtime.contracts.call import CallFailedError
from headrace.runtime.errors import SettingsError
from tests.unit.connectors.calling import Calling, problems_of

Step = Callable[[Calling], Coroutine[Any, Any, None]]


def writing(folder: Path, config: dict[str, Any], *steps: Step) -> None:
    """Run steps on one stage."""

    async def run() -> None:
        async with Calling(File, {"folder": str(folder), **config}) as calling:
            for step in steps:
                await step(calling)

    asyncio.run(run())


def write(*events: Any, commits: bool = True) -> Step:
    async def step(calling: Calling) -> None:
        for outcome in await calling.outcomes(*events):
            assert outcome.error is None, outcome.error
        if commits:
            await calling.caller.committed()

    return step


def files(folder: Path) -> list[str]:
    """Complete files, below the folder, without what makes their names unique."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    complete = [path for path in found if not path.name.startswith(".")]
    return [
        f"{path.parent.relative_to(folder)}/{path.name.split('-')[0]}{path.suffix}"
        for path in complete
    ]


def contents(folder: Path) -> list[Any]:
    found = sorted(path for path in folder.rglob("*.jsonl"))
    return [orjson.loads(line) for path in found for line in path.read_bytes().splitlines()]


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob(".*.part"))


def test_records_are_lines_of_a_file_that_appears_when_the_stage_closes(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def look(calling: Calling) -> None:
        seen.append(contents(tmp_path))

    writing(tmp_path, {}, write({"n": 1}, {"n": 2}), look)

    assert seen == [[]]
    assert contents(tmp_path) == [{"n": 1}, {"n": 2}]
    assert [path.name.split("-")[:2] for path in tmp_path.iterdir()] == [
        ["orders.call", "20231114T221320000Z"]
    ]


@pytest.mark.parametrize("roll", [{"rows": 2}, {"bytes": 10}])
def test_a_file_is_complete_at_the_commit_behind_its_last_record(
    tmp_path: Path, roll: dict[str, int]
) -> None:
    seen: list[int] = []

    async def look(calling: Calling) -> None:
        seen.append(len(contents(tmp_path)))

    writing(
        tmp_path, {"roll": roll}, write({"n": 1}), look, write({"n": 2}, {"n": 3}, commits=False), look,
        write({"n": 4}), look,
    )  # fmt: skip # one line per moment

    assert seen == [0, 0, 4]


def test_an_old_file_is_complete_without_further_records(tmp_path: Path) -> None:
    async def grow_old(calling: Calling) -> None:
        assert contents(tmp_path) == []
        calling.clock.advance(61)
        async with asyncio.timeout(30):
            while not contents(tmp_path):
                await asyncio.sleep(0.05)

    writing(tmp_path, {"roll": {"every": "1m"}}, write({"n": 1}), grow_old)

    assert contents(tmp_path) == [{"n": 1}]


def test_an_old_file_waits_for_the_commit_of_what_is_in_it(tmp_path: Path) -> None:
    async def grow_old(calling: Calling) -> None:
        caller: Any = calling.caller
        calling.clock.advance(61)
        caller._complete_due()
        assert contents(tmp_path) == []
        await caller.committed()
        assert contents(tmp_path) == [{"n": 1}]

    writing(tmp_path, {"roll": {"every": "1m"}}, write({"n": 1}, commits=False), grow_old)


def test_what_was_not_committed_is_left_out_when_the_stage_closes(tmp_path: Path) -> None:
    writing(tmp_path, {}, write({"n": 1}), write({"n": 2}, commits=False))

    assert contents(tmp_path) == [{"n": 1}]
    assert parts(tmp_path) == []


def test_records_go_into_folders_of_their_own(tmp_path: Path) -> None:
    config = {"partition": "day=${event.day}/v=${event.v}", "open_files": 1}

    writing(
        tmp_path, config, write({"day": "a", "v": 1}, {"day": "b", "v": 1}, {"day": "a", "v": 1})
    )

    assert files(tmp_path) == ["day=a/v=1/orders.call.jsonl", "day=b/v=1/orders.call.jsonl"]


@pytest.mark.parametrize("day", ["../x", "/etc", "a//b", ".", "a\0", None, {"a": 1}, "x" * 201])
def test_a_record_cannot_lead_out_of_the_folder(tmp_path: Path, day: Any) -> None:
    async def run() -> Any:
        config = {"folder": str(tmp_path / "in"), "partition": "${event.day}"}
        async with Calling(File, config) as calling:
            made = await calling.outcomes({"day": day}, {"day": "good"})
            await calling.caller.committed()
            return made

    bad, good = asyncio.run(run())

    assert "partition: must be" in str(bad.error)
    assert good.error is None
    assert files(tmp_path) == ["in/good/orders.call.jsonl"]


@pytest.mark.parametrize(
    ("event", "kind"),
    [(None, "null"), ("x", "text"), (1.5, "a number"), (True, "a boolean"), ([1], "a list")],
)
def test_what_is_no_row_is_named_in_the_words_of_the_document(
    tmp_path: Path, event: Any, kind: str
) -> None:
    told = []

    async def step(calling: Calling) -> None:
        told.extend([str(one.error) for one in await calling.outcomes(event)])

    writing(tmp_path, {"format": "csv", "columns": ["a"]}, step)
    writing(tmp_path, {"format": "parquet"}, step)

    assert told == [f"rows are made of maps, found {kind}; see 'value'"] * 2


def test_csv_has_a_header_and_its_columns(tmp_path: Path) -> None:
    config = {"format": "csv", "columns": ["b", "a"]}
    events = [{"a": 'say "x", y', "b": 1, "c": 0}, {"a": [1, True], "b": None}, {"a": "two\nlines"}]

    writing(tmp_path, config, write(*events))

    (path,) = tmp_path.glob("*.csv")
    assert path.read_text() == 'b,a\n1,"say ""x"", y"\n,"[1,true]"\n,two lines\n'


def test_files_are_compressed(tmp_path: Path) -> None:
    writing(tmp_path, {"compression": "gzip"}, write({"n": 1}), write({"n": 2}))

    (path,) = tmp_path.glob("*.jsonl.gz")
    assert gzip.decompress(path.read_bytes()) == b'{"n":1}\n{"n":2}\n'


@pytest.mark.parametrize("compression", [None, "none", "snappy", "gzip", "zstd"])
def test_parquet_has_columns_of_one_type(tmp_path: Path, compression: str | None) -> None:
    events = [{"n": 1, "s": "a", "l": [1, 2]}, {"n": 2, "s": None, "x": 1.5}]

    writing(tmp_path, {"format": "parquet", "compression": compression}, write(*events))

    (path,) = tmp_path.glob("*.parquet")
    assert parquet.read_table(path).to_pylist() == [
        {"n": 1, "s": "a", "l": [1, 2], "x": None},
        {"n": 2, "s": None, "l": None, "x": 1.5},
    ]
    assert list(tmp_path.glob(".*")) == []


def test_rows_that_parquet_cannot_hold_stay_json_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writing(tmp_path, {"format": "parquet"}, write({"n": 1}, {"n": "hush"}))

    assert contents(tmp_path) == [{"n": 1}, {"n": "hush"}]
    assert "values of different types" in caplog.text
    assert "hush" not in caplog.text


def test_what_a_crash_leaves_is_completed_at_the_next_start(tmp_path: Path) -> None:
    async def crash(calling: Calling) -> None:
        caller: Any = calling.caller
        (part,) = caller._parts.values()
        os.write(part._descriptor, b'{"n": 3, "half')
        part.close()
        caller._parts.clear()

    config = {"partition": "p"}
    writing(tmp_path, config, write({"n": 1}), write({"n": 2}, commits=False), crash)
    assert len(parts(tmp_path)) == 1
    writing(tmp_path, config)

    assert contents(tmp_path) == [{"n": 1}, {"n": 2}]
    assert parts(tmp_path) == []


def test_what_somebody_else_is_writing_is_left_alone(tmp_path: Path) -> None:
    async def another(calling: Calling) -> None:
        await _nested(tmp_path)

    writing(tmp_path, {}, write({"n": 1}), another, write({"n": 2}))

    assert contents(tmp_path) == [{"n": 5}, {"n": 1}, {"n": 2}] or contents(tmp_path) == [
        {"n": 1},
        {"n": 2},
        {"n": 5},
    ]


async def _nested(folder: Path) -> None:
    async with Calling(File, {"folder": str(folder)}) as other:
        await write({"n": 5})(other)


def test_a_full_disk_is_temporary_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, broken = os.write, [True]

    def full(descriptor: int, data: Any) -> int:
        if broken[0] and b"second" in bytes(data):
            real(descriptor, bytes(data)[:4])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    async def fail(calling: Calling) -> None:
        (outcome,) = await calling.outcomes({"n": "second"})
        assert isinstance(outcome.error, CallFailedError)
        assert outcome.error.is_temporary
        assert str(outcome.error) == "writing to a file failed: no space left on device"
        broken[0] = False

    monkeypatch.setattr(os, "write", full)
    writing(tmp_path, {}, write({"n": "first"}), fail, write({"n": "second"}))

    assert contents(tmp_path) == [{"n": "first"}, {"n": "second"}]


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")

    with pytest.raises(SettingsError, match="folder: cannot be used"):
        writing(tmp_path / "taken" / "in", {})


def test_a_value_can_be_computed(tmp_path: Path) -> None:
    writing(tmp_path, {"value": "[event.n, 'x']"}, write({"n": 1}))

    assert contents(tmp_path) == [[1, "x"]]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"format": "csv"}, "columns: csv needs"),
        ({"compression": "zstd"}, "compression: json_lines is compressed with gzip"),
        ({"partition": {"a": 1}}, "partition: must be text"),
    ],
)
def test_a_wrong_config_is_explained(config: dict[str, Any], problem: str) -> None:
    (found,) = problems_of(File, {"folder": "/data", **config})

    assert found.startswith(problem)
