"""Stops a flow whose records fail in numbers: something is broken that no dead letter mends."""

from collections import Counter, deque

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Message
from headrace.runtime.errors import FlowStoppedError
from headrace.runtime.limit import Limit
from headrace.runtime.task.failure import Failure

ERRORS_TOLD = 3


class DeadLetterLimit:
    """Counts the dead letters of each flow, in one worker process. Not thread-safe.

    A record that comes again after an abort counts once.
    """

    def __init__(self, limit: Limit | None, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._recent: dict[str, _Recent] = {}

    def count(self, failure: Failure) -> None:
        """One more dead letter.

        Raises:
            FlowStoppedError: it is one too many; names the stages and the first errors.
        """
        if self._limit is None:
            return
        recent = self._recent.setdefault(failure.flow, _Recent())
        now_s = self._clock.monotonic_s()
        recent.forget(now_s - self._limit.per.total_seconds())
        recent.add(failure, now_s)
        if len(recent.letters) <= self._limit.number:
            return
        told, stages = recent.errors(), ", ".join(recent.stages())
        self._recent.pop(failure.flow)
        raise FlowStoppedError(
            f"flow '{failure.flow}' stopped: more than {self._limit} dead letters (dead_letter_limit), of {stages};"
            f" first {'; then '.join(told)}; mend the flow, or what it depends on, and start it again"
        )


class _Recent:
    """The dead letters of one flow that still count."""

    def __init__(self) -> None:
        self.letters: deque[tuple[float, tuple[str, str, int, int], str]] = deque()
        self._known: set[tuple[str, str, int, int]] = set()

    def add(self, failure: Failure, now_s: float) -> None:
        identity = _identity(failure.stage, failure.message)
        if identity not in self._known:
            self._known.add(identity)
            self.letters.append((now_s, identity, f"{failure.where}: {failure.text}"))

    def forget(self, before_s: float) -> None:
        while self.letters and self.letters[0][0] <= before_s:
            self._known.discard(self.letters.popleft()[1])

    def stages(self) -> list[str]:
        counts = Counter(identity[0] for _, identity, _ in self.letters)
        return [f"stage '{stage}' ({count})" for stage, count in counts.most_common()]

    def errors(self) -> list[str]:
        return [text for _, _, text in list(self.letters)[:ERRORS_TOLD]]


def _identity(stage: str, message: Message) -> tuple[str, str, int, int]:
    return stage, message.topic(), message.partition(), message.offset()
