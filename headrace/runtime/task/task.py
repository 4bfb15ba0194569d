"""A task: the keyed stages of one sub-topology on one partition number, and how far its inputs have come."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from headrace.runtime.contracts.broker import Message, TopicPartition
from headrace.runtime.errors import HeadraceError, RestartError
from headrace.runtime.graph import Node
from headrace.runtime.plan import SubTopology
from headrace.runtime.task.emission import Cause
from headrace.runtime.task.event_time import UNKNOWN, Input, MarkedInput, watermark_of
from headrace.runtime.task.stage import NEVER, TaskStage

Run = Callable[[Sequence[Message], Input], None]


class Task:
    """Order, state and event time of one sub-topology on one partition number. Belongs to the member's thread.

    `inputs` and `runs` are per topic partition; `stages` are in topological order.
    """

    def __init__(self, flow: str, sub: SubTopology, partition: int) -> None:
        self.flow = flow
        self.sub = sub
        self.partition = partition
        self.cause = Cause(sub.name, partition)
        self.stages: list[TaskStage] = []
        self.inputs: dict[TopicPartition, Input] = {}
        self.runs: dict[TopicPartition, list[Run]] = {}
        self.is_ready = False
        self.quiet_since_ms = 0
        self.is_quiet = (
            False  # all inputs have been read to their ends, and nobody is about to write to them
        )
        self.has_news = False  # to be told behind a topic: it begins, or its inputs have gone idle
        self._is_behind = False  # something was still to be done when it was committed last
        self.bound: dict[str, Mapping[str, Callable[..., Any]]] = {}
        self._is_firing = False
        self._by_name: dict[str, TaskStage] = {}

    @property
    def id(self) -> tuple[str, int, int]:
        """Flow, number of the sub-topology, partition number."""
        return self.flow, self.sub.id, self.partition

    def add_stage(self, stage: TaskStage) -> None:
        """Add the next stage in topological order."""
        self.stages.append(stage)
        self._by_name[stage.node.name] = stage

    def add_input(self, partition: TopicPartition, upstreams: Iterable[str] | None) -> Input:
        """Add an input: a source partition, or one with markers of these sub-topologies."""
        made = Input(self) if upstreams is None else MarkedInput(self, upstreams)
        self.inputs[partition] = made
        return made

    def stage(self, name: str) -> Any:
        """The stage of this name; asked for by generated code when it is bound."""
        return self._by_name[name]

    # ---- event time

    @property
    def watermark(self) -> int:
        """How far the inputs have come."""
        return watermark_of(self.inputs.values())

    def told(self, stages: Collection[str], without: Collection[str]) -> tuple[int, bool]:
        """How far the records have come that this task writes to a topic, and whether nothing is there to read for them.

        Args:
            stages: those that the records pass.
            without: the topics that the task reads for other stages only.
        """
        inputs = [one for place, one in self.inputs.items() if place.topic not in without]
        watermark = told = watermark_of(inputs)
        for stage in self.stages:
            if stage.node.name in stages:
                behind = watermark - stage.offset_ms - delay_of(stage.node)
                told = min(told, behind, stage.held_ms())
        return max(told, UNKNOWN), all(one.is_idle for one in inputs)

    def watermark_of(self, stage: TaskStage) -> int:
        """How far the inputs of a stage have come: behind other stages that may still send on, so much less."""
        if self._is_firing:
            return stage.reached_ms
        watermark = self.watermark
        if watermark == UNKNOWN:
            return stage.reached_ms
        limit = watermark - stage.offset_ms
        for before in self.stages:
            if before is stage:
                break
            limit = min(limit, before.held_ms())
        return max(limit, stage.reached_ms)

    def advance(self) -> None:
        """Do what has become due, stage by stage: the ones behind see the results of those before them as in time."""
        watermark = self.watermark
        if self._is_firing or watermark == UNKNOWN:
            return
        self._is_firing = True
        for input_ in self.inputs.values():
            input_.is_overdue = False
        try:
            held_ms = NEVER
            for stage in self.stages:
                limit = min(watermark - stage.offset_ms, held_ms)
                stage.reached_ms = max(stage.reached_ms, limit)
                stage.fire()
                held_ms = min(held_ms, stage.held_ms())
        except HeadraceError:
            raise
        except Exception as error:
            # The caller is a record's code, and this is not the record's failure: its action's are caught in `guarded`.
            raise RestartError(
                f"flow '{self.flow}': what was due in task {self.sub.name}[{self.partition}] failed:"
                f" {type(error).__name__}: {error}"
            ) from error
        finally:
            self._is_firing = False
        self._schedule()

    def _schedule(self) -> None:
        if len(self.inputs) > 1:
            return  # each of them must tell whenever it goes on: the slowest decides
        due = min((stage.event_due() + stage.offset_ms for stage in self.stages), default=NEVER)
        for input_ in self.inputs.values():
            input_.due = due

    def expect(self, stage: TaskStage, at_ms: int) -> None:
        """See to it that the task advances when this stage's watermark reaches `at_ms`."""
        due = at_ms + stage.offset_ms
        is_overdue = due <= self.watermark
        for input_ in self.inputs.values():
            input_.due = min(input_.due, due)
            input_.is_overdue = input_.is_overdue or is_overdue

    # ---- records

    def run(self, partition: TopicPartition, messages: Sequence[Message]) -> None:
        """Process records of one input, in their order."""
        last = messages[-1]
        cause = self.cause
        cause.topic, cause.partition, cause.offset = last.topic(), last.partition(), last.offset()
        input_ = self.inputs[partition]
        input_.is_idle = input_.is_idle and isinstance(input_, MarkedInput)
        for run in self.runs[partition]:
            run(messages, input_)
        self.settle()

    def replay(self, run: Run, message: Message) -> None:
        """Process an event that somebody has sent back to a stage; it does not let event time go on."""
        cause = self.cause
        cause.topic, cause.partition, cause.offset = (
            message.topic(),
            self.partition,
            message.offset(),
        )
        run([message], Input(self))
        self.settle()

    def settle(self) -> None:
        """Fire what was due as soon as it was set."""
        watermark = self.watermark
        for stage in self.stages:
            if stage.event_due() <= watermark - stage.offset_ms:
                self.advance()
                return

    def wall_due(self) -> int:
        """When something is due on the wall clock, in ms; `NEVER` when nothing is."""
        return min((stage.wall_due() for stage in self.stages), default=NEVER)

    def fire_wall(self, now_ms: int) -> None:
        """Do what is due on the wall clock."""
        quiet_ms = now_ms - self.quiet_since_ms if self.is_quiet else 0
        for stage in self.stages:
            stage.fire_wall(now_ms, quiet_ms)
        self.settle()

    def idle_due(self, now_ms: int) -> bool:
        """Whether windows are to be closed because nothing has come for so long."""
        quiet_ms = now_ms - self.quiet_since_ms
        return self.is_quiet and any(stage.is_idle_due(quiet_ms) for stage in self.stages)

    @property
    def has_work(self) -> bool:
        """Whether something is left to do."""
        return self.has_news or self._is_behind or any(stage.has_work for stage in self.stages)

    def work(self, budget: int) -> int:
        """Go on with windows that are being closed; how many results were sent."""
        if self.has_news or self._is_behind:
            self.has_news = self._is_behind = False
            self.advance()
        done = next((done for stage in self.stages if (done := stage.work(budget))), 0)
        self._schedule()
        if not self.has_work:
            self.settle()  # the stages behind waited for these results
        return done

    # ---- the commit

    def before_commit(self) -> None:
        """Send on what waits for the commit, stage by stage."""
        for stage in self.stages:
            stage.before_commit()

    def remembered(self) -> Mapping[str, Any]:
        """What must be known of the inputs after a restart."""
        return {
            "inputs": {str(name): input_.remembered() for name, input_ in self.inputs.items()},
        }

    def recall(self) -> None:
        """Go on from what was remembered with the last commit, as far as any stage knows.

        Nothing is sent on here, where no transaction is open: what is due is left for `work`.
        """
        remembered: Mapping[str, Any] = {}
        for stage in self.stages:
            memory = stage.remembered()
            stage.reached_ms = memory.get("watermark", UNKNOWN)  # others may have been idle then
            remembered = memory.get("inputs", {}) or remembered
        self._is_firing = True  # inputs tell when they go on, which they do not yet
        for name, input_ in self.inputs.items():
            input_.remember(remembered.get(str(name)))
        self._is_firing = False
        watermark = self.watermark
        self._is_behind = any(
            stage.has_work or stage.event_due() <= watermark - stage.offset_ms
            for stage in self.stages
        )

    def committed(self) -> None:
        """Everything is in the store."""
        for stage in self.stages:
            stage.committed()

    def abort(self) -> None:
        """Everything is as it was at the last commit, the inputs included."""
        for stage in self.stages:
            stage.abort()
        self.recall()


def delay_of(node: Node) -> int:
    """How far behind its watermark a stage may send on events."""
    return node.keyed.delay_ms if node.keyed is not None else 0
