"""Carries out the calls of one stage in one member: in batches, with time-out, retry, circuit breaker and rate limit."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace.runtime.clock import Clock, pause
from headrace.runtime.contracts.call import Call, Caller, CallFailedError, Outcome
from headrace.runtime.duration import format_duration
from headrace.runtime.errors import HeadraceError, RecordError
from headrace.runtime.graph.calling import Calling, RetryIf, is_temporary_failure
from headrace.runtime.task.breaker import BreakerState, Circuit
from headrace.runtime.task.pending import Done, Later, Pending, Refused, Result
from headrace.runtime.task.rate import Bucket

logger = logging.getLogger(__name__)

TARGETS_MAX = 1_000
"""Circuits that are remembered per stage; of more, those that are closed are forgotten."""
RETRY_AFTER_MAX_S = 3_600.0


@dataclass
class CallStatistics:
    """What a stage has called so far. Written by the calling thread, read by others."""

    calls: int = 0
    failures: int = 0
    retries: int = 0
    seconds: float = 0.0
    in_flight: int = 0
    circuits: Mapping[str, BreakerState] = field(default_factory=dict)


class StageCalls:
    """Belongs to the event loop of the member's calls, but for `statistics`."""

    def __init__(
        self, flow: str, stage: str, policy: Calling, caller: Caller, clock: Clock
    ) -> None:
        self.flow = flow
        self.stage = stage
        self.statistics = CallStatistics()
        self._policy = policy
        self.action = policy.action
        self._caller = caller
        self._clock = clock
        self._retry_if = RetryIf(policy.retry.retry_if)
        self._bucket = Bucket(policy.rate_limit, clock.monotonic_s()) if policy.rate_limit else None
        self._circuits: dict[str, Circuit] = {}
        self._is_open = False
        self._opening = asyncio.Lock()
        self.needs_commits = type(caller).committed is not Caller.committed
        """Whether the action wants to know of commits."""

    async def close(self) -> None:
        """Let go of connections."""
        if self._is_open:
            self._is_open = False
            await self._caller.close()

    async def committed(self) -> None:
        """The transaction of every call so far was committed."""
        if self._is_open:
            await self._caller.committed()

    async def carry_out(self, pendings: Sequence[Pending], stop_at_s: float) -> list[Result]:
        """One result per record. What was not begun by `stop_at_s` (of the monotonic clock) is for later.

        Raises:
            SettingsError: the stage can never call.
        """
        async with (
            self._opening
        ):  # partitions share a caller, and their first records may come at once
            if not self._is_open:
                await self._caller.open()
                self._is_open = True
        return await _Round(self, pendings, stop_at_s).run()

    # ---- one batch

    async def attempt(self, batch: Sequence[Pending], stop_at_s: float) -> list[Result]:
        """Call until every record of the batch has a result, in their order."""
        results: dict[int, Result] = {}
        left = list(range(len(batch)))
        failures = [one.failures for one in batch]
        while left:
            left = await self._admitted(batch, left, failures, results)
            if not left:
                break
            if not await self._may_go_on(len(left), stop_at_s):
                now_ms = self._clock.now_ms()
                results |= {i: Later(now_ms, failures[i]) for i in left}
                self._tell_left(batch, left)
                break
            outcomes = await self._process([batch[i].call for i in left])
            waits: list[float] = []
            again: list[int] = []
            for i, outcome in zip(left, outcomes, strict=True):
                self._tell(batch[i].call, outcome.error)
                if outcome.error is None:
                    results[i] = Done(outcome.events)
                    continue
                failures[i] += 1
                wait_s = self._wait_s(outcome.error, failures[i])
                if wait_s is None:
                    results[i] = Refused(outcome.error, failures[i])
                elif self._is_deferred(wait_s, stop_at_s):
                    self.statistics.retries += 1
                    due_ms = self._clock.now_ms() + int(wait_s * 1000)
                    results[i] = Later(due_ms, failures[i])
                else:
                    self.statistics.retries += 1
                    waits.append(wait_s)
                    again.append(i)
            if again:
                await pause(self._clock, max(waits))
            left = again
        self._publish()
        return [results[i] for i in range(len(batch))]

    async def _process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        statistics = self.statistics
        statistics.calls += len(calls)
        statistics.in_flight += len(calls)
        begun_s = self._clock.monotonic_s()
        timeout = self._policy.timeout
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                outcomes = await self._caller.process(calls)
            if len(outcomes) != len(calls):
                raise RecordError(
                    f"the action gave {len(outcomes)} outcomes for {len(calls)} records"
                )
        except TimeoutError:
            error = CallFailedError(
                f"no answer within {format_duration(timeout)} (the stage's timeout)",
                is_temporary=True,
            )
            outcomes = [Outcome(error=error)] * len(calls)
        except Exception as failure:  # whatever it raises is the failure of these calls
            outcomes = [Outcome(error=failure)] * len(calls)
        finally:
            statistics.in_flight -= len(calls)
            statistics.seconds += self._clock.monotonic_s() - begun_s
        statistics.failures += sum(outcome.error is not None for outcome in outcomes)
        return outcomes

    # ---- again?

    def _wait_s(self, error: Exception, failures: int) -> float | None:
        """How long to wait before the next attempt; None when there is none."""
        retry = self._policy.retry
        if failures >= retry.attempts:
            return None
        try:
            if not self._retry_if(error):
                return None
        except RecordError as wrong:
            error.add_note(str(wrong))
            return None
        wait_s = retry.pause(failures, random.random()).total_seconds()  # noqa: S311 # spreads retries
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        return max(wait_s, min(asked_s, RETRY_AFTER_MAX_S))

    def _is_deferred(self, wait_s: float, stop_at_s: float) -> bool:
        return self._policy.retry.is_deferred or self._clock.monotonic_s() + wait_s > stop_at_s

    async def _may_go_on(self, count: int, stop_at_s: float) -> bool:
        """Wait for the rate limit; whether there is time left."""
        now_s = self._clock.monotonic_s()
        if now_s > stop_at_s:
            return False
        if self._bucket is None:
            return True
        wait_s = self._bucket.take(count, now_s)
        if now_s + wait_s > stop_at_s:
            self._bucket.give_back(count)
            return False
        if wait_s:
            await pause(self._clock, wait_s)
        return True

    # ---- circuits

    def _target(self, call: Call) -> str:
        return self.action.target(call.arguments)

    async def _admitted(
        self,
        batch: Sequence[Pending],
        left: Sequence[int],
        failures: Sequence[int],
        results: dict[int, Result],
    ) -> list[int]:
        """Those whose circuit lets them through; the others are for later, and it does not count as an attempt."""
        policy = self._policy.breaker
        if policy is None:
            return list(left)
        now_s = self._clock.monotonic_s()
        admitted = []
        for i in left:
            target = self._target(batch[i].call)
            circuit = self._circuits.get(target)
            if circuit is None:
                self._forget_closed()
                circuit = self._circuits[target] = Circuit(policy)
            if circuit.admit(1, now_s):
                admitted.append(i)
            else:
                due_ms = self._clock.now_ms() + int(circuit.wait_s(now_s) * 1000)
                results[i] = Later(due_ms, failures[i])
        return admitted

    def _forget_closed(self) -> None:
        if len(self._circuits) >= TARGETS_MAX:
            self._circuits = {
                target: one for target, one in self._circuits.items() if one.state != "closed"
            }

    def _tell(self, call: Call, error: Exception | None) -> None:
        """Let the circuit know. A failure that is not temporary is the record's: the target has answered."""
        circuit = self._circuits.get(self._target(call)) if self._policy.breaker else None
        if circuit is None:
            return
        before = circuit.state
        if error is None or not is_temporary_failure(error):
            circuit.succeeded()
        else:
            circuit.failed(self._clock.monotonic_s())
        if circuit.state != before:
            logger.warning(
                "flow '%s': stage '%s': the circuit%s is %s now%s",
                self.flow,
                self.stage,
                f" to {self._target(call)}" if self._target(call) else "",
                circuit.state.replace("_", " "),
                "" if error is None or circuit.state != "open" else f": {_reason(error)}",
            )

    def _tell_left(self, batch: Sequence[Pending], left: Sequence[int]) -> None:
        if self._policy.breaker:
            for i in left:
                circuit = self._circuits.get(self._target(batch[i].call))
                if circuit is not None:
                    circuit.left()

    def _publish(self) -> None:
        if self._policy.breaker:
            self.statistics.circuits = {
                target: circuit.state for target, circuit in self._circuits.items()
            }


def _reason(error: Exception) -> str:
    """Why a target is not called: other people's exceptions may quote the record."""
    return str(error) if isinstance(error, HeadraceError) else type(error).__name__


class _Round:
    """Some records of one stage on their way: several batches at once, but never two with the same key."""

    def __init__(self, calls: StageCalls, pendings: Sequence[Pending], stop_at_s: float) -> None:
        self._calls = calls
        self._pendings = pendings
        self._stop_at_s = stop_at_s
        self._results: dict[int, Result] = {}
        self._queues: dict[bytes, deque[int]] = {}
        for i, one in enumerate(pendings):
            self._queues.setdefault(one.place, deque()).append(i)
        self._ready = deque(self._queues)
        self._busy = 0
        self._changed = asyncio.Event()

    async def run(self) -> list[Result]:
        action = self._calls.action
        count = max(1, min(action.concurrency, len(self._queues)))
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._work())
        return [self._results[i] for i in range(len(self._pendings))]

    async def _work(self) -> None:
        while True:
            keys, numbers = self._take()
            if not numbers:
                if not self._busy:
                    self._changed.set()
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            self._busy += 1
            batch = [self._pendings[i] for i in numbers]
            results = await self._calls.attempt(batch, self._stop_at_s)
            self._busy -= 1
            self._note(keys, numbers, results)
            self._changed.set()

    def _take(self) -> tuple[list[bytes], list[int]]:
        """The next batch: the first records of some keys, or as many of each as fit where the action keeps their order."""
        action = self._calls.action
        keys: list[bytes] = []
        numbers: list[int] = []
        while self._ready and len(numbers) < action.batch_size:
            key = self._ready.popleft()
            keys.append(key)
            queue = self._queues[key]
            numbers.append(queue.popleft())
            while action.keeps_order and queue and len(numbers) < action.batch_size:
                numbers.append(queue.popleft())
        # In their order, which is that of the topic.
        numbers.sort()
        return keys, numbers

    def _note(
        self, keys: Sequence[bytes], numbers: Sequence[int], results: Sequence[Result]
    ) -> None:
        waiting: dict[bytes, Later] = {}
        for i, result in zip(numbers, results, strict=True):
            self._results[i] = result
            if isinstance(result, Later):
                waiting[self._pendings[i].place] = result
        for key in keys:
            queue = self._queues[key]
            if key in waiting:  # what comes behind it waits, too
                for i in queue:
                    self._results[i] = Later(waiting[key].due_ms, self._pendings[i].failures)
                queue.clear()
            elif queue:
                self._ready.append(key)
