"""The calls of a member: an event loop in a thread of its own, in which its stages call the outside."""

import asyncio
import concurrent.futures
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from threading import Thread
from typing import Any, TypeVar

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.call import Caller, Opening
from headrace.runtime.environment import Values
from headrace.runtime.errors import RestartError
from headrace.runtime.expression.given import values_of
from headrace.runtime.graph import Node
from headrace.runtime.plan import Plan
from headrace.runtime.task.calling import CallStatistics, StageCalls
from headrace.runtime.task.pending import Pending, Result

logger = logging.getLogger(__name__)

ROUND_S = 20.0
"""What was not begun after this time waits in the state instead, so that the transaction can be committed."""
CLOSE_S = 5.0
OVERRUN_S = 150.0
"""How much longer a round may take: what is under way then ends by the stage's timeout, of two minutes at most."""
T = TypeVar("T")
Job = tuple[StageCalls, Sequence[Pending]]


class Calls:
    """Makes calls on behalf of one member. `run` and `close` belong to its thread, `statistics` is for all.

    Args:
        name: of the thread.
        callers: makes what calls, by flow and stage, in place of the actions; for tests.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        clock: Clock,
        values: Values,
        name: str,
        callers: Callable[[str, str], Caller] | None = None,
    ) -> None:
        self._callers = callers
        self._clock = clock
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stages: dict[tuple[str, str], StageCalls] = {}
        for plan in plans:
            for node in plan.graph.nodes:
                if node.calling is not None:
                    self._stages[plan.name, node.name] = self._made(plan, node, values)

    def _made(self, plan: Plan, node: Node, values: Values) -> StageCalls:
        assert node.calling is not None
        if self._callers is not None:
            caller = self._callers(plan.name, node.name)
            return StageCalls(plan.name, node.name, node.calling, caller, self._clock)
        action = node.calling.action
        settings = values_of(action.settings(), values.env, values.secret)
        opening = Opening(plan.name, node.name, settings, self._clock)
        return StageCalls(plan.name, node.name, node.calling, action.caller(opening), self._clock)

    def stage(self, flow: str, stage: str) -> StageCalls:
        """The calls of one stage."""
        return self._stages[flow, stage]

    @property
    def statistics(self) -> Mapping[tuple[str, str], CallStatistics]:
        """Per (flow, stage). Thread-safe."""
        return {key: one.statistics for key, one in self._stages.items()}

    def run(self, jobs: Sequence[Job]) -> list[list[Result]]:
        """Make the calls of several stages at once, and wait; the results of each job, in the order of its records.

        Raises:
            HeadraceError: a stage can never call.
        """
        stop_at_s = self._clock.monotonic_s() + ROUND_S
        return self._wait(lambda: _all(jobs, stop_at_s), ROUND_S + OVERRUN_S)

    def committed(self) -> None:
        """The transaction of every call so far was committed."""
        stages = [one for one in self._stages.values() if one.needs_commits]
        if stages and self._loop is not None:
            self._wait(lambda: _committed(stages), OVERRUN_S)

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(target=self._loop.run_forever, name=self._name, daemon=True)
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(make(), self._loop)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise RestartError(
                f"calls did not end {timeout_s:.0f} s after they were begun; an action that blocks its event loop does that"
            ) from None
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    def close(self) -> None:
        """Let go of all connections. May be called again."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        stages = list(self._stages.values())
        future = asyncio.run_coroutine_threadsafe(_closed(stages), loop)
        try:
            future.result(CLOSE_S)
        except Exception as error:  # nothing is left to be done with it
            logger.warning("closing connections: %s", type(error).__name__)
        loop.call_soon_threadsafe(loop.stop)
        assert self._thread
        self._thread.join(CLOSE_S)
        if not self._thread.is_alive():
            loop.close()


async def _all(jobs: Sequence[Job], stop_at_s: float) -> list[list[Result]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(calls.carry_out(some, stop_at_s)) for calls, some in jobs]
    return [task.result() for task in tasks]


async def _committed(stages: Sequence[StageCalls]) -> None:
    for one in stages:
        await one.committed()


async def _closed(stages: Sequence[StageCalls]) -> None:
    for one in stages:
        await one.close()
