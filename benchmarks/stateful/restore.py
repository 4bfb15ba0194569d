"""How long a worker that has lost its state takes until it answers again."""

import dataclasses
import random
import uuid

from benchmarks.contender import Contender, ContenderError, Result, Task
from benchmarks.input_topic import FIRST_MS
from benchmarks.rounds import say
from benchmarks.stateful.answers import check_totals, last_totals, totals_of
from benchmarks.stateful.arena import Arena, tell
from benchmarks.stateful.input import append, fill_events, key_events
from benchmarks.topics import create, records_of, remove, remove_all
from headrace.connectors.local_kafka import LocalKafka

PROBES = 400
"""So many keys are asked for after a restore; each of their answers needs the state from before."""


class Restore:
    """The restore of a running count per key.

    Every contender first counts `keys` records of as many keys, which leaves a changelog behind. A round is: a few known keys
    are written again, and the contender starts without its local state. It is ready when the answers of these are committed.
    """

    def __init__(self, arena: Arena, kafka: LocalKafka, keys: int) -> None:
        self._arena, self._kafka, self._keys = arena, kafka, keys
        self._topic = f"benchmark-keys-{keys}"
        self._choose = random.Random(1)
        self._asked: list[int] = []
        self._tasks: dict[str, Task] = {}

    def prepare(self, contenders: list[Contender]) -> list[Contender]:
        """Fill the topic and let every contender count it; those that failed are left out."""
        say(f"writing {self._keys:,} keys to {self._topic}")
        fill_events(self._kafka.brokers, self._topic, key_events(range(self._keys)), "user")
        return [contender for contender in contenders if self._prepare(contender)]

    def _prepare(self, contender: Contender) -> bool:
        target = f"benchmark-restore-{uuid.uuid4()}"
        create(self._kafka.brokers, target)
        task = Task(
            brokers=self._kafka.brokers,
            source=self._topic,
            target=target,
            group=f"{contender.name}-{uuid.uuid4()}",
            records=self._keys,
            kept=self._keys,
            options=("counter",),
        )
        self._tasks[contender.name] = task
        try:
            self._arena.measure(contender, task)
        except ContenderError as error:
            say(f"  left out of the restore: {error}")
            return False
        return True

    def ask(self) -> None:
        """Write the keys of the next round."""
        keys = self._choose.sample(range(self._keys), min(PROBES, self._keys))
        time_ms = FIRST_MS + self._keys + len(self._asked)
        append(self._kafka.brokers, self._topic, key_events(keys, time_ms))
        self._asked += keys

    def run(self, contender: Contender) -> Result:
        """Start one contender without its state, and check what it answers.

        Raises:
            ContenderError: it failed, or its answers do not know of what was before.
        """
        records = min(PROBES, self._keys)
        task = dataclasses.replace(
            self._tasks[contender.name], records=records, kept=records, options=("restore",)
        )
        result = self._arena.measure(contender, task)
        asked = {f"user-{key}" for key in self._asked}
        found = last_totals(
            (
                message
                for message in records_of(self._kafka.brokers, task.target)
                if (message.key() or b"").decode() in asked
            ),
            contender.name,
        )
        expected = totals_of(key_events([*set(self._asked), *self._asked]), None)
        check_totals(contender.name, expected, found, 0)
        result = per_key(result, self._keys)
        tell(result)
        return result

    def clean(self) -> None:
        """Remove all topics of the restore."""
        for task in self._tasks.values():
            remove(self._kafka.brokers, task.target)
            remove_all(self._kafka.brokers, task.group)
        remove(self._kafka.brokers, self._topic)


def per_key(result: Result, keys: int) -> Result:
    """A result of a restore, told per restored key instead of per record that was read afterwards."""
    return dataclasses.replace(
        result,
        records=keys,
        per_second=round(keys / result.seconds),
        cpu_us=round(result.cpu_us * result.records / keys, 3),
    )
