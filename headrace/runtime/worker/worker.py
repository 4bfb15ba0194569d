"""The worker: runs flows inside of an asyncio program, one thread per consumer group."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from headrace.runtime.brokers import connect
from headrace.runtime.clock import Clock, SystemClock
from headrace.runtime.contracts.broker import Admin, Broker, TopicPartition
from headrace.runtime.contracts.service import Service
from headrace.runtime.environment import Values
from headrace.runtime.errors import ClosedError, HeadraceError, RestartError, SettingsError
from headrace.runtime.flow import Flow, load_flows
from headrace.runtime.graph import check_flows
from headrace.runtime.plan import Plan, build_plan
from headrace.runtime.services import load_service
from headrace.runtime.settings import WorkerSettings, load_settings
from headrace.runtime.state.progress import RestoreProgress
from headrace.runtime.task.commit import Step
from headrace.runtime.worker.feeds import Feeds
from headrace.runtime.worker.groups import groups_of
from headrace.runtime.worker.member import Member, nothing_watched
from headrace.runtime.worker.slots import Slot
from headrace.runtime.worker.statistics import MemberStatistics
from headrace.runtime.worker.topics import ensure_topics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """What a worker has done since it began. `last_record_s` and `last_commit_s` are on the worker's monotonic clock."""

    records_read: int
    commits: int
    aborts: int
    rejoins: int
    last_record_s: float
    last_commit_s: float
    assignment: frozenset[TopicPartition]
    written: Mapping[tuple[str, str], int]
    """Records written per (flow, stage), committed or about to be."""
    failed: Mapping[tuple[str, str, str], int]
    """Failing records per (flow, stage, what became of them)."""
    restores: tuple[RestoreProgress, ...]
    """State that is being restored, for tasks and for standby copies."""
    waiting: int
    """Tasks that wait for their state."""


class Worker:
    """Runs flows: `async with Worker("flows/", brokers="kafka:9092") as worker: await worker.wait()`.

    `flows` are flows, or files and folders of documents. Settings come from keyword arguments (fields of
    `WorkerSettings`), the environment and the configuration file. The data plane runs in threads; the event loop is free.

    With the setting `http` it answers questions over HTTP from its beginning to its end; see docs/queries.md.

    Entering checks the flows, finds their topics and joins the groups; it returns when every group has answered.
    Leaving drains, commits and leaves the groups, within `stop_timeout`; when the body raised, too.

    Raises:
        FlowError: with every problem of every flow.
        SettingsError: a setting is wrong, or topics are missing.
        BrokerUnavailableError: no broker answered.
    """

    def __init__(
        self,
        flows: Flow | str | Path | Iterable[Flow | str | Path],
        *,
        settings: WorkerSettings | None = None,
        broker: Broker | None = None,
        clock: Clock | None = None,
        values: Values | None = None,
        reached: Callable[[Step], None] | None = None,
        **overrides: Any,
    ) -> None:
        if settings is not None and overrides:
            raise SettingsError(
                f"give either settings or keyword arguments, not both: {', '.join(overrides)}"
            )
        self.settings = settings or load_settings(overrides)
        self.flows = _flows(flows)
        self._broker = broker
        self.clock = clock or SystemClock()
        self._values = values or Values()
        self._reached = reached or nothing_watched
        self._slots = ExitStack()
        self._members: list[Member] = []
        self._threads: list[Thread] = []
        self._lock = Lock()
        self._running = 0
        self._failure: BaseException | None = None
        self._stop_before_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: asyncio.Event | None = None
        self._http: Service | None = None
        self.http_address: str | None = None
        """Where others reach this worker over HTTP, as `host:port`; None where `http` is not set."""
        self.plans: tuple[Plan, ...] = ()
        self.feeds: Feeds | None = None
        """What writes to the topics of triggers; None before the flows were checked."""

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ClosedError("this worker was started before; make a new one")
        self._loop = asyncio.get_running_loop()
        self._finished = asyncio.Event()
        try:
            await self._open_http()
            await asyncio.to_thread(self._start)
            assert self.feeds
            self.feeds.open_routes()
            self.feeds.start()
            await self._ready()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()
        if error is None and self._failure is not None:
            raise self._failure

    async def wait(self) -> None:
        """Return when the worker was stopped.

        Raises:
            HeadraceError: what ended it, when nobody stopped it.
        """
        if self._finished is None:
            raise ClosedError("the worker is not running; use `async with Worker(...)`")
        await self._finished.wait()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def stop(self) -> None:
        """Begin to stop: `wait` returns when everything is committed, or when `stop_timeout` is over.

        Thread-safe; may be called again.
        """
        if self.feeds is not None:
            self.feeds.stop()
        for member in self._members:
            member.stop()
        if self._stop_before_s is None:
            timeout_s = self.settings.stop_timeout.total_seconds()
            self._stop_before_s = self.clock.monotonic_s() + timeout_s
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._loop.call_later, timeout_s, self._give_up)

    def statistics(self) -> Statistics:
        """What was done so far. Thread-safe."""
        parts = [member.statistics for member in self._members]
        return Statistics(
            records_read=sum(part.records_read for part in parts),
            commits=sum(part.commits for part in parts),
            aborts=sum(part.aborts for part in parts),
            rejoins=sum(part.rejoins for part in parts),
            last_record_s=max((part.last_record_s for part in parts), default=0.0),
            last_commit_s=max((part.last_commit_s for part in parts), default=0.0),
            assignment=frozenset[TopicPartition]().union(*(part.assignment for part in parts)),
            written=_summed(parts, "written"),
            failed=_summed(parts, "failed"),
            restores=tuple(one for member in self._members for one in member.restores()),
            waiting=sum(len(member.standing.waiting) for member in self._members),
        )

    # ---- for services

    @property
    def members(self) -> tuple[Member, ...]:
        """One per group, each with a thread of its own; see which of their methods are for other threads."""
        return tuple(self._members)

    @property
    def has_failed(self) -> bool:
        """Whether an error has ended the worker, or will."""
        return self._failure is not None

    @property
    def is_stopping(self) -> bool:
        return self._stop_before_s is not None

    def new_admin(self) -> Admin:
        """A connection for administration, for the caller to close."""
        return self._connected().admin()

    # ---- start and stop

    async def _open_http(self) -> None:
        """Before the groups are joined, since the members' client ids tell others the address."""
        if self.settings.http is None:
            return
        self._http = load_service("http", self.settings, self._values)
        self.http_address = self._http.open()
        await self._http.start(self)

    def _connected(self) -> Broker:
        if self._broker is None:
            settings = self.settings
            self._broker = connect(settings.engine, settings.brokers, settings.client)
        return self._broker

    def _start(self) -> None:
        graphs = check_flows([flow for flow in self.flows if flow.enabled])
        self.plans = tuple(build_plan(graph, self.settings.prefix) for graph in graphs)
        if not self.plans:
            raise SettingsError("there is no flow to run: none was given that is enabled")
        groups = groups_of(self.plans)
        broker = self._connected()
        admin = broker.admin()
        try:
            topics = ensure_topics(admin, self.plans, self.settings)
        finally:
            admin.close()
        for group, plans in groups.items():
            name = self.settings.instance_id
            folder = self.settings.state_dir / group / (name or "")
            if name is None:
                slot = self._slots.enter_context(Slot(self.settings.state_dir, group))
                name, folder = slot.name, slot.folder
            member = Member(
                plans,
                settings=self.settings,
                broker=broker,
                clock=self.clock,
                values=self._values,
                name=name,
                topics=topics,
                folder=folder,
                address=self.http_address,
                reached=self._reached,
            )
            self._members.append(member)
        self.feeds = Feeds(
            self.plans,
            settings=self.settings,
            broker=broker,
            values=self._values,
            clock=self.clock,
            assignment=self._assignment,
            fail=self._fail,
        )
        self._running = len(self._members)
        for member in self._members:
            thread = Thread(
                target=self._run, args=(member,), name=f"headrace {member.group}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _assignment(self, group: str) -> frozenset[TopicPartition]:
        """The partitions that a group has here now."""
        found = (m.statistics.assignment for m in self._members if m.group == group)
        return frozenset[TopicPartition]().union(*found)

    def _fail(self, error: BaseException) -> None:
        """End the worker by an error of one of its parts. Thread-safe."""
        if self._failure is None:
            self._failure = error
        self.stop()

    def _run(self, member: Member) -> None:
        try:
            member.run()
        except BaseException as error:  # handed to whoever waits for the worker
            if not isinstance(error, HeadraceError):
                logger.exception(
                    "group %s ended by a mistake of headrace or of a called function", member.group
                )
            self._fail(error)
        finally:
            # Counted, because two threads that end at once would each find the other one alive.
            with self._lock:
                self._running -= 1
                is_last = self._running == 0
            assert self._loop
            if is_last:
                with suppress(RuntimeError):  # the program did not wait for us and has ended
                    self._loop.call_soon_threadsafe(self._note_finished)

    def _note_finished(self) -> None:
        assert self._finished
        self._finished.set()

    async def _ready(self) -> None:
        """Wait until every member was given partitions, or found that others have them all."""
        assert self._finished
        deadline_s = self.clock.monotonic_s() + READY_S
        while self.clock.monotonic_s() < deadline_s and not self._finished.is_set():
            if all(member.is_ready.is_set() for member in self._members):
                return
            await asyncio.sleep(0.02)
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _give_up(self) -> None:
        """The time for stopping is over: let go of whoever waits, `_stop` says what is left behind."""
        assert self._finished
        self._finished.set()

    async def _stop(self) -> None:
        self.stop()
        assert self._stop_before_s is not None
        if self.feeds is not None:
            await self.feeds.close_routes()
            await asyncio.to_thread(self.feeds.join)
        for thread in self._threads:
            left_s = max(0.0, self._stop_before_s - self.clock.monotonic_s())
            await asyncio.to_thread(thread.join, left_s)
        for member in self._members[len(self._threads) :]:  # the start failed before they ran
            await asyncio.to_thread(member.abandon)
        if self._http is not None:
            await self._http.close()
        self._slots.close()
        alive = [thread.name for thread in self._threads if thread.is_alive()]
        if alive and self._failure is None:
            timeout_s = self.settings.stop_timeout.total_seconds()
            self._failure = RestartError(
                f"{', '.join(alive)} did not stop within {timeout_s:g} s; what was not committed will be read again"
            )


READY_S = 10.0
"""A worker that gets no partition in this time is ready all the same: others have them."""


def _flows(flows: Flow | str | Path | Iterable[Flow | str | Path]) -> list[Flow]:
    given: Sequence[Flow | str | Path]
    given = [flows] if isinstance(flows, Flow | str | Path) else list(flows)
    paths = [one for one in given if not isinstance(one, Flow)]
    return [one for one in given if isinstance(one, Flow)] + (load_flows(paths) if paths else [])


def _summed(parts: Iterable[MemberStatistics], name: str) -> dict[Any, int]:
    total: dict[Any, int] = {}
    for part in parts:
        for key, count in dict(getattr(part, name)).items():
            total[key] = total.get(key, 0) + count
    return total
