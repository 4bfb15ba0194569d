"""The calls that the tasks of a member wait for."""

from collections.abc import Iterable, Mapping

from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.task.call_stage import CallStage
from headrace.runtime.task.calling import CallStatistics, StageCalls
from headrace.runtime.task.calls import Calls
from headrace.runtime.task.program import Program
from headrace.runtime.task.task import Task


class TaskCalls:
    """Belongs to the member's thread, but for `statistics`."""

    def __init__(self, calls: Calls, program: Program) -> None:
        self._calls = calls
        self._program = program
        self.paused: set[TopicPartition] = set()

    def stage(self, flow: str, stage: str) -> StageCalls:
        """What carries out the calls of a stage."""
        return self._calls.stage(flow, stage)

    @property
    def statistics(self) -> Mapping[tuple[str, str], CallStatistics]:
        """Per (flow, stage). Thread-safe."""
        return self._calls.statistics

    def drain(self, tasks: Iterable[Task]) -> list[Task]:
        """Make all calls that are pending, and those that come of them; the tasks that had any."""
        tasks = list(tasks)
        touched: dict[int, Task] = {}
        while True:
            found = [
                (task, stage, stage.taken())
                for task in tasks
                for stage in task.stages
                if isinstance(stage, CallStage) and stage.pending
            ]
            if not found:
                return list(touched.values())
            results = self._calls.run([(stage.calls, some) for _, stage, some in found])
            for (task, stage, some), of_stage in zip(found, results, strict=True):
                touched[id(task)] = task
                self._program.enter(task)
                stage.deliver(some, of_stage)
                task.settle()

    def drain_stage(self, stage: CallStage) -> None:
        """Make the calls of one stage in the midst of its task's records."""
        some = stage.taken()
        (results,) = self._calls.run([(stage.calls, some)])
        stage.deliver(some, results)

    def full(self, tasks: Iterable[Task]) -> tuple[set[TopicPartition], set[TopicPartition]]:
        """Inputs to pause, of tasks in which too many records wait to be tried again, and inputs to read on."""
        full = {
            partition
            for task in tasks
            if any(isinstance(stage, CallStage) and stage.is_full for stage in task.stages)
            for partition in task.inputs
        }
        pause, resume = full - self.paused, self.paused - full
        self.paused = full
        return pause, resume

    def committed(self) -> None:
        """The transaction of every call so far was committed."""
        self._calls.committed()

    def close(self) -> None:
        """Let go of all connections."""
        self._calls.close()
