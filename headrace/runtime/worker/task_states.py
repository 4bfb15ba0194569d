"""Where the state of tasks lies, and the stages that keep it."""

import logging
from collections.abc import Iterable, Mapping

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.graph import Node
from headrace.runtime.plan import Plan, PlannedStore
from headrace.runtime.state.layout import region_of, store_number
from headrace.runtime.state.restore import Replica
from headrace.runtime.state.shapes import SHAPE
from headrace.runtime.task.call_stage import CallStage
from headrace.runtime.task.fold_stage import FoldStage
from headrace.runtime.task.keyed_stage import KeyedStage
from headrace.runtime.task.program import Program
from headrace.runtime.task.stage import TaskStage
from headrace.runtime.task.task import Task, delay_of
from headrace.runtime.worker.global_tables import GlobalTables
from headrace.runtime.worker.task_calls import TaskCalls

logger = logging.getLogger(__name__)


class TaskStates:
    """Knows the stores of the plans' stages. Belongs to the member's thread."""

    def __init__(
        self,
        plans: Mapping[str, Plan],
        *,
        store: Store,
        program: Program,
        clock: Clock,
        tables: GlobalTables,
        calls: TaskCalls,
    ) -> None:
        self._plans = plans
        self._store = store
        self._program = program
        self._clock = clock
        self._tables = tables
        self._calls = calls

    def stores(self, task: Task) -> list[PlannedStore]:
        """The stores of a task's stages, in the order of the stages."""
        plan = self._plans[task.flow]
        return [store for store in plan.stores if store.sub_topology == task.sub.id]

    def changelogs(self, task: Task) -> list[TopicPartition]:
        """The changelogs of a task's stages."""
        return [TopicPartition(store.changelog, task.partition) for store in self.stores(task)]

    def region(self, changelog: TopicPartition) -> bytes:
        """Where the state of a changelog lies in the store."""
        return region_of(store_number(self._store, changelog.topic), changelog.partition)

    # ---- replicas

    def replicas(self, task: Task) -> Iterable[Replica]:
        """The state of a task, stage by stage."""
        plan = self._plans[task.flow]
        return [self._replica(plan, store, task.partition) for store in self.stores(task)]

    def replica_of(self, changelog: TopicPartition) -> Replica:
        """What a changelog partition is copied to."""
        for plan in self._plans.values():
            for store in plan.stores:
                if store.changelog == changelog.topic:
                    return self._replica(plan, store, changelog.partition)
        raise AssertionError(f"no stage has the changelog {changelog}")

    def _replica(self, plan: Plan, store: PlannedStore, partition: int) -> Replica:
        action = plan.graph.by_name[store.stage].keyed
        assert action is not None
        changelog = TopicPartition(store.changelog, partition)
        return Replica(
            changelog=changelog,
            region=self.region(changelog),
            store=f"{plan.name}/{store.stage}",
            ttl_kind=action.ttl_kind,
        )

    # ---- stages

    def start(self, task: Task) -> None:
        """Give a task its stages, whose state is in the store now, and the functions of its records."""
        plan = self._plans[task.flow]
        offsets: dict[str, int] = {}
        for store in self.stores(task):
            stage = self._stage(plan, task, store)
            before = [name for name in plan.graph.ancestors[store.stage] if name in offsets]
            stage.offset_ms = max(
                (offsets[name] + delay_of(plan.graph.by_name[name]) for name in before), default=0
            )
            offsets[store.stage] = stage.offset_ms
            task.add_stage(stage)
        self._program.bind(task)
        task.recall()
        task.is_ready = True
        logger.debug("task %s/%s[%d] is ready", task.flow, task.sub.name, task.partition)

    def _stage(self, plan: Plan, task: Task, store: PlannedStore) -> TaskStage:
        node = plan.graph.by_name[store.stage]
        region = self.region(TopicPartition(store.changelog, task.partition))
        stage: FoldStage | KeyedStage | CallStage
        if node.calling is not None:
            stage = self._call_stage(plan, task, node, region)
        elif node.keyed is not None and node.keyed.fold() is not None:
            stage = FoldStage(task, node, store=self._store, region=region, clock=self._clock)
        else:
            topic = plan.link_topics.get(node.name, "")
            stage = KeyedStage(
                task,
                node,
                store=self._store,
                region=region,
                clock=self._clock,
                lookup=lambda key: self._tables.lookup(plan.name, node.name, key),
                send=lambda key, event, at_ms: self._program.send(topic, key, event, at_ms),
            )
        known = stage.state.get(SHAPE)
        stage.shape = dict(store.shape)
        assert known is None or known == store.shape, f"{store.changelog} has {known}"
        return stage

    def _call_stage(self, plan: Plan, task: Task, node: Node, region: bytes) -> CallStage:
        stage = CallStage(
            task,
            node,
            store=self._store,
            region=region,
            clock=self._clock,
            calls=self._calls.stage(plan.name, node.name),
            drain=lambda: self._calls.drain_stage(stage),
            is_multiplied=plan.graph.is_multiplied(node.name),
        )
        return stage
