from dataclasses import dataclass

import pytest
from orjson import dumps

from benchmarks.contender import ContenderError
from benchmarks.correctness import count


@dataclass(frozen=True)
class Written:
    """A record as a reader of the target topic sees it."""

    event: dict[str, object]

    def key(self) -> bytes:
        return b"user-1"

    def value(self) -> bytes:
        return dumps(self.event)

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7


RIGHT = {"user": "user-1", "kind": "buy", "amount": 10.0, "total": 12.0}


def test_records_with_the_total_are_counted() -> None:
    assert count([Written(RIGHT)] * 250, "peer") == 250  # type: ignore[list-item] # has what is read of a message


@pytest.mark.parametrize("wrong", [{"total": 10.0}, {"kind": "view"}, {"user": "user-2"}])
def test_a_wrong_record_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ContenderError, match=r"peer wrote a wrong record at 0@7"):
        count([Written(RIGHT | wrong)], "peer")  # type: ignore[list-item] # has what is read of a message
