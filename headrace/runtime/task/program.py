"""The program of a group: the generated functions of its flows, bound to a producer."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson
import re2

from headrace.runtime.clock import Clock
from headrace.runtime.codegen import Entry, Module, entries_of, replay_entry, write_module
from headrace.runtime.contracts.action import SELF
from headrace.runtime.contracts.broker import Broker, Message, Producer, TopicPartition
from headrace.runtime.environment import Values
from headrace.runtime.errors import RecordError
from headrace.runtime.expression import FUNCTIONS
from headrace.runtime.limit import Limit
from headrace.runtime.plan import Plan, SubTopology
from headrace.runtime.task.failures import Failures
from headrace.runtime.task.formats import Formats
from headrace.runtime.task.input_schema import compile_schema
from headrace.runtime.task.records import RECORD_FUNCTIONS, sender_headers
from headrace.runtime.task.task import Task

Run = Callable[[Sequence[Message]], None]
PRODUCE_WAIT_S = 0.1


class Topics:
    """What generated code asks about topics. `known` may grow while it runs."""

    def __init__(self, partitions: Mapping[str, int], ensure: Callable[[str], bool]) -> None:
        self.partitions = dict(partitions)
        self.known = set(partitions)
        self._ensure = ensure

    def check(self, name: object) -> None:
        """Make sure that a topic named by an expression exists; creates it where the worker may.

        Raises:
            RecordError: it does not exist.
        """
        if not isinstance(name, str):
            raise RecordError(f"a topic's name is text, found {type(name).__name__}")
        if not self._ensure(name):
            missing = "does not exist; create it, or start the worker with --create-topics"
            error = RecordError(f"the topic that the record names {missing}")
            error.add_note(f"topic '{name}' {missing}")
            raise error
        self.known.add(name)

    def check_partition(self, value: Any, name: str) -> int:
        """A partition that an expression gave, of a topic that is known.

        Raises:
            RecordError: there is no such partition; the client would fail the whole transaction instead.
        """
        count = self.partitions.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise RecordError(
                f"a partition is a whole number from 0, found {type(value).__name__}"
                if not isinstance(value, int) or isinstance(value, bool)
                else "a partition is a whole number from 0, found a negative one"
            )
        if value >= (2**31 if count is None else count):
            raise RecordError(
                f"the partition does not exist: its topic has {'fewer' if count is None else count}"
            )
        return value

    def count(self, name: str) -> int:
        """The partitions of a topic of the plan."""
        return self.partitions[name]


class Program:
    """Runs batches of records through the flows of a group. Belongs to one member and one producer.

    `visited` is given by the test engine to learn which stages and routes were reached.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        broker: Broker,
        producer: Producer,
        clock: Clock,
        values: Values,
        topics: Topics,
        formats: Formats | None = None,
        visited: Callable[[str, str, str], None] | None = None,
        dead_letter_limit: Limit | None = None,
    ) -> None:
        self._formats = formats or Formats(clock=clock)
        self._timed: dict[tuple[str, int], list[Entry]] = {}
        self._entries: list[Entry] = []
        self._replay_entries: dict[tuple[str, str], Entry] = {}
        for plan in plans:
            self._add_entries(plan)
        self._patterns = {
            id(entry): re2.compile(entry.source.pattern)
            for entry in (*self._entries, *(e for found in self._timed.values() for e in found))
            if entry.source.pattern
        }
        topics_read = {topic for entry in self._entries for topic in entry.source.topics}
        self._only_topic = (
            topics_read.pop()
            if len(topics_read) == 1 and not self._patterns and not self._timed
            else None
        )
        self._producer = producer
        self._values = values
        self._topics = topics
        self._visited = visited
        self._functions: dict[str, tuple[Run, ...]] = {}
        self._compiled: dict[tuple[int, ...], tuple[Any, Module, list[int]]] = {}
        self.failures = Failures(
            broker=broker,
            clock=clock,
            produce=self.produce_later,
            dead_letter_topics={p.name: p.dead_letter_topic for p in plans if p.dead_letter_topic},
            link_topics={topic for plan in plans for topic in plan.link_topics.values()},
            replay_topics={plan.replay_topic(sub) for plan in plans for sub in plan.sub_topologies},
            secrets=values.secret_values,
            dead_letter_limit=dead_letter_limit,
        )

    def _add_entries(self, plan: Plan) -> None:
        """Note the places where records enter; those of flows that keep state run per task."""
        if not plan.is_stateful:
            self._entries += entries_of(plan)
            return
        stages = {name: sub.id for sub in plan.sub_topologies for name in sub.stages}
        for entry in entries_of(plan):
            self._timed.setdefault((plan.name, stages[entry.node.name]), []).append(entry)

    # ---- tasks

    def reads(self, flow: str, sub: SubTopology, topic: str) -> bool:
        """Whether a sub-topology of a flow that keeps state reads a topic."""
        return any(
            entry.via != "results" and self._reads(entry, topic)
            for entry in self._timed.get((flow, sub.id), ())
        )

    def bind(self, task: Task) -> None:
        """Give a task the functions that its records go through, and its stages those behind them."""
        for entry in self._timed[task.flow, task.sub.id]:
            bind, module = self._timed_module(entry)
            functions = bind(task)
            task.bound[module.file_name] = functions
            if module.results_of is not None:
                task.stage(module.results_of).bind(functions)
                continue
            for partition in task.inputs:
                if self._reads(entry, partition.topic):
                    task.runs.setdefault(partition, []).append(functions[module.function])

    def bind_input(self, task: Task, partition: TopicPartition) -> None:
        """Give a task that is bound the functions for one more input."""
        for entry in self._timed[task.flow, task.sub.id]:
            if entry.via != "results" and self._reads(entry, partition.topic):
                _, module = self._timed_module(entry)
                function = task.bound[module.file_name][module.function]
                task.runs.setdefault(partition, []).append(function)

    def replaying(self, plan: Plan, stage: str, task: Task | None) -> Callable[..., None]:
        """The function for events that are sent back to a stage; of a task where the flow keeps state."""
        entry = self._replay_entries.get((plan.name, stage))
        if entry is None:
            entry = self._replay_entries[plan.name, stage] = replay_entry(plan, stage)
        if task is None:
            return self._bind([entry])
        bind, module = self._timed_module(entry)
        if module.file_name not in task.bound:
            task.bound[module.file_name] = bind(task)
        function: Callable[..., None] = task.bound[module.file_name][module.function]
        return function

    def enter(self, task: Task) -> None:
        """Note whose records are processed next, so that failures find the handlers bound to it."""
        self.failures.bound = task.bound

    def _timed_module(self, entry: Entry) -> tuple[Callable[[Task], Mapping[str, Any]], Module]:
        key = (id(entry),)
        if key not in self._compiled:
            module = write_module(entry.label, [entry], coverage=self._visited is not None)
            counts = [0] * len(module.outputs)
            namespace = self._namespace(module, [entry], counts)
            exec(module.code, namespace)  # noqa: S102 # our own generated code, with no builtins
            self.failures.add(module, namespace)
            self._compiled[key] = (namespace["bind"], module, counts)
        return self._compiled[key][:2]

    def send(self, topic: str, key: bytes, event: Any, at_ms: int) -> None:
        """Write an event that a stage sends to itself."""
        value = orjson.dumps(event)
        headers = sender_headers(SELF, None)
        self.produce_later(topic, value, key, -1, None, None, max(at_ms, 0), headers)

    # ---- records of flows without state

    def run(self, messages: Sequence[Message]) -> None:
        """Process records, in order per partition. What they lead to is in the producer's queue afterwards.

        Raises:
            HeadraceError: something that is not one record's failure.
        """
        if self._only_topic is not None:
            for function in self.functions(self._only_topic):
                function(messages)
            return
        if not self._entries:
            return
        names = [message.topic() for message in messages]
        by_topic: dict[str, list[Message]] = {name: [] for name in names}
        for name, message in zip(names, messages, strict=True):
            by_topic[name].append(message)
        for name, batch in by_topic.items():
            for function in self.functions(name):
                function(batch)

    def functions(self, topic: str) -> tuple[Run, ...]:
        """The functions that a topic's records go through; entries of one format share a decoding."""
        found = self._functions.get(topic)
        if found is None:
            by_format: dict[tuple[str, bool], list[Entry]] = {}
            for entry in self._entries:
                if self._reads(entry, topic):
                    by_format.setdefault((entry.value_format, entry.is_link), []).append(entry)
            found = self._functions[topic] = tuple(
                self._bind(entries) for entries in by_format.values()
            )
        return found

    def counted(self) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str, str]]]:
        """What was written per (flow, stage), and failed per (flow, stage, reaction), since this was last asked."""
        written: Counter[tuple[str, str]] = Counter()
        for _, module, counts in self._compiled.values():
            for i, output in enumerate(module.outputs):
                written[output] += counts[i]
                counts[i] = 0  # in place: generated code holds the list
        failed = self.failures.counts.copy()
        self.failures.counts.clear()
        return written, failed

    def produce_later(self, *given: Any, **named: Any) -> None:
        """Enqueue a record, waiting for room in the queue; the client bounds the wait by its delivery time-out."""
        while True:
            try:
                self._producer.produce(*given, **named)
            except BufferError:
                self._producer.poll(PRODUCE_WAIT_S)
            else:
                return

    def _reads(self, entry: Entry, topic: str) -> bool:
        if entry.source.pattern:
            return self._patterns[id(entry)].fullmatch(topic) is not None
        return topic in entry.source.topics

    def _bind(self, entries: Collection[Entry]) -> Run:
        key = tuple(id(entry) for entry in entries)
        if key not in self._compiled:
            label = "+".join(entry.label for entry in entries)
            module = write_module(label, list(entries), coverage=self._visited is not None)
            counts = [0] * len(module.outputs)
            namespace = self._namespace(module, list(entries), counts)
            exec(module.code, namespace)  # noqa: S102 # our own generated code, with no builtins
            self.failures.add(module, namespace)
            self._compiled[key] = (namespace[module.function], module, counts)
        function: Run = self._compiled[key][0]
        return function

    def _namespace(self, module: Module, entries: list[Entry], counts: list[int]) -> dict[str, Any]:
        failures = self.failures
        return {
            "__builtins__": {},
            "Exception": Exception,
            "BufferError": BufferError,
            "enumerate": enumerate,
            "NOTHING": None,
            "loads": orjson.loads,
            "dumps": orjson.dumps,
            "produce": self._producer.produce,
            "produce_later": self.produce_later,
            "failed": failures.failed,
            "failed_decoding": lambda error, message, i: failures.failed_decoding(
                error, message, entries[i]
            ),
            "known_topics": self._topics.known,
            "check_topic": self._topics.check,
            "check_partition": self._topics.check_partition,
            "partitions_of": self._topics.count,
            "counts": counts,
            "visited": self._visited,
            **RECORD_FUNCTIONS,
            **FUNCTIONS,
            **module.constants,
            **{name: self._formats.function(use) for name, use in module.formats.items()},
            **{f"check_{name}": compile_schema(module.constants[name]) for name in module.schemas},
            **{name: self._values.env(key) for key, name in module.env.items()},
            **{name: self._values.secret(key) for key, name in module.secrets.items()},
        }
