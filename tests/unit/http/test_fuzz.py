"""Whatever is asked, it is answered, and never by a mistake of ours."""

import asyncio
import random
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote_from_bytes

from tests.unit.http.asking import asked as ask
from tests.unit.http.asking import broker_with, feed, once, worker_of
from tests.unit.http.flows import ENTRIES

REQUESTS = 400
STAGES = ("seen", "visits", "recent", "threes")
PARAMETERS = ("encoding", "from", "to", "limit", "start", "end", "next", "partial", "x")
ODD = (
    "",
    "0",
    "-1",
    "9" * 30,
    "base64",
    "true",
    "k",
    "_w",
    "=",
    "+",
    "T",
    "0001-01-01T00:00+14:00",
)


def target(random_: random.Random) -> str:
    """A path that may or may not make sense, with parameters that may or may not."""
    path = f"/state/entries/{random_.choice(STAGES)}"
    if random_.random() < 0.7:
        key = random_.randbytes(random_.randrange(6))
        path += "/" + quote_from_bytes(key, safe=random_.choice(("", "/")))
    if random_.random() < 0.1:
        path = path[: random_.randrange(1, len(path))].rstrip("%")
    given = [
        f"{random_.choice(PARAMETERS)}={random_value(random_)}"
        for _ in range(random_.choice((0, 0, 1, 2)))
    ]
    return path + (f"?{'&'.join(given)}" if given else "")


def random_value(random_: random.Random) -> str:
    if random_.random() < 0.7:
        return random_.choice(ODD)
    return quote_from_bytes(random_.randbytes(random_.randrange(5)))


def test_odd_requests_are_answered_or_refused_and_nothing_breaks(tmp_path: Path) -> None:
    random_ = random.Random(20260131)

    async def main() -> Counter[int]:
        broker = broker_with(2)
        statuses: Counter[int] = Counter()
        async with worker_of(broker, tmp_path, ENTRIES) as worker:
            feed(broker, *((random_.randbytes(n % 4), {"a": n}) for n in range(40)))
            await once(worker, "/health", lambda answered: answered.status == HTTPStatus.OK)
            for _ in range(REQUESTS):
                statuses[(await ask(worker, target(random_))).status] += 1
        return statuses

    statuses = asyncio.run(main())

    assert statuses.keys() <= {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}
    assert min(statuses[HTTPStatus.OK], statuses[HTTPStatus.BAD_REQUEST]) > 20
