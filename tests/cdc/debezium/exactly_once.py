"""What the records of a table add up to when Debezium wrote them."""

from collections import Counter

from tests.cdc.running import Change


def assert_once_and_in_order(changes: list[Change]) -> None:
    """No change twice, and those of a key in the order of the database's log.

    Debezium's `source` has no number of the change within its transaction; `lsn` is the entry of the log, which holds several
    rows after a COPY, but never two changes of one key.
    """
    streamed = [one for one in changes if one.value is not None and one.op != "r"]
    counted = Counter((one.op, str(one.key), one.value["source"]["lsn"]) for one in streamed)
    assert [one for one, count in counted.items() if count > 1] == []
    last: dict[str, int] = {}
    for one in streamed:
        lsn = one.value["source"]["lsn"]
        assert lsn > last.get(str(one.key), -1), f"{one.key} is out of order"
        last[str(one.key)] = lsn
