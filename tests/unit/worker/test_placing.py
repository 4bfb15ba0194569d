"""Tables whose writer puts keys elsewhere than headrace looks for them."""

import pytest

from headrace.runtime.partitioning import partition_of
from tests.unit.running import Running, running

JOINED = """
name: flow
stages:
  - {{name: source, action: kafka, config: {{topics: in}}, out: known}}
  - {{name: known, action: hydrate, config: {{table: rows, {config} into: row}}, out: sink}}
  - {{name: sink, action: publish, config: {{topic: out}}}}
"""


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "will not find rows" in r.getMessage()]


def run(config: str, *, shift: int) -> Running:
    made = running(JOINED.format(config=config), topics=["in", "rows"], partitions=4)
    for n in range(20):
        key = f"k{n}"
        partition = (partition_of(key.encode(), 4) + shift) % 4
        made.feed({"n": n}, "rows", key=key, partition=partition, timestamp=1)
    made.run(*({"id": f"k{n}"} for n in range(20)), key="other")
    return made


def test_rows_may_be_older_than_what_is_written_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    assert len(run("key: event.id,", shift=0).data("out")) == 20


def test_rows_in_other_partitions_than_their_keys_hash_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run("key: event.id,", shift=1)

    (text,) = told(caplog)
    assert text.startswith("stage 'known' will not find rows of its table: a key of rows[")
    assert "partitioner=murmur2_random" in text


@pytest.mark.parametrize(("config", "shift"), [("key: event.id,", 0), ("", 1)])
def test_nothing_is_told_where_rows_are_found(
    config: str, shift: int, caplog: pytest.LogCaptureFixture
) -> None:
    run(config, shift=shift)

    assert told(caplog) == []
