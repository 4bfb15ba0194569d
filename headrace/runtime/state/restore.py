"""Brings the state of tasks up to date from their changelogs, and keeps standby copies."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from threading import Condition, Thread

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Admin, Message, Reader, TopicPartition
from headrace.runtime.contracts.store import Store
from headrace.runtime.errors import BrokerUnavailableError, DataLossError
from headrace.runtime.state.beginning import beginnings
from headrace.runtime.state.changelog import changes_of
from headrace.runtime.state.freed_memory import give_back
from headrace.runtime.state.layout import CHECKPOINT, checkpoint, clearing
from headrace.runtime.state.progress import RestoreProgress, lines_of, progress_of
from headrace.runtime.state.read_size import ReadSize
from headrace.runtime.state.replica import Replica, Restoration
from headrace.runtime.state.standby import sweep

__all__ = ["Replica", "RestoreProgress", "Restorer"]

logger = logging.getLogger(__name__)

READ_TIMEOUT_S = 0.05
IDLE_S = 0.05
NEAR_END_S = 0.005
OBSERVE_EVERY_S = 1.0
LOG_EVERY_S = 5.0
SWEEP_EVERY_S = 10.0
SWEEP_ENTRIES = 2_000
CLOSE_TIMEOUT_S = 5.0
TIDY_RECORDS = 200_000


class Restorer:
    """Restores and follows in a thread of its own; methods are called from the member's thread and return at once.

    Active restorations come first: standby copies stand still as long as there is one, and while `is_paused` tells true. A
    batch of records, and the checkpoints behind it, are one write of the store, so that whoever is killed goes on where it was.
    A task's state is handed over by `done`; from then on this does not touch its region.

    Lock: `_changed`, held for short steps, never while the store, the reader or the admin is called.
    """

    def __init__(
        self,
        store: Store,
        *,
        new_reader: Callable[[], Reader],
        admin: Admin,
        clock: Clock,
        is_paused: Callable[[], bool] = lambda: False,
        name: str = "restore",
    ) -> None:
        self._store = store
        self._new_reader = new_reader
        self._admin = admin
        self._clock = clock
        self._is_paused = is_paused
        self._changed = Condition()
        # Guarded by the lock
        self._wanted: dict[TopicPartition, Restoration] = {}
        self._done: list[TopicPartition] = []
        self._failure: BaseException | None = None
        self._is_closed = False
        self._written: frozenset[Restoration] = frozenset()
        # Of the thread
        self._reader: Reader | None = None
        self._reading: list[Restoration] = []
        self._read_size = ReadSize()
        self._has_lost_data = False
        self._untidy_records = 0  # read since memory was last given back
        self._due_s: dict[str, float] = {}
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    # Requests

    def restore(self, replicas: Iterable[Replica]) -> None:
        """Bring active tasks' state up to where their changelogs end now, and tell so in `done`.

        Call it when the previous owners are fenced: what they wrote up to now is waited for, committed or not. A standby copy
        becomes active by this.
        """
        now_s = self._clock.monotonic_s()
        with self._changed:
            for one in replicas:
                self._wanted[one.changelog] = Restoration(one, now_s, is_standby=False)
            self._changed.notify_all()

    def follow(self, replicas: Iterable[Replica]) -> None:
        """Replace the set of standby copies; those that are being restored for a task are left out.

        Copies that are not followed any more are released, and stay in the store as they are.
        """
        now_s = self._clock.monotonic_s()
        wanted = {one.changelog: one for one in replicas}
        with self._changed:
            standbys = [one for one, known in self._wanted.items() if known.is_standby]
            for changelog, replica in wanted.items():
                known = self._wanted.get(changelog)
                if known is None or (known.is_standby and known.replica != replica):
                    self._wanted[changelog] = Restoration(replica, now_s, is_standby=True)
            self._changed.notify_all()
        self.release(one for one in standbys if one not in wanted)

    def release(self, changelogs: Iterable[TopicPartition]) -> None:
        """Forget replicas, whatever becomes of them; waits for a write under way to their regions, some milliseconds."""
        with self._changed:
            gone = set(changelogs)
            for changelog in gone:
                self._wanted.pop(changelog, None)
            self._done = [one for one in self._done if one not in gone]
            self._changed.wait_for(lambda: gone.isdisjoint(one.changelog for one in self._written))

    def done(self) -> list[TopicPartition]:
        """Active tasks' changelogs that were restored since the last call.

        Raises:
            HeadraceError: what made the thread fail, at every call from then on.
        """
        with self._changed:
            if self._failure is not None:
                raise self._failure
            done, self._done = self._done, []
            return done

    def wait(self, timeout_s: float) -> None:
        """Return when `done` has something to tell, or when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._done or self._failure is not None, timeout_s)

    def progress(self) -> list[RestoreProgress]:
        """How far everything is that is being restored or followed."""
        now_s = self._clock.monotonic_s()
        with self._changed:
            return [progress_of(one, now_s) for one in self._wanted.values()]

    def close(self) -> None:
        """Stop; nothing is written to the store afterwards. May be called again."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._written)
        # A broker that does not answer can keep the thread for longer; it cannot do harm any more.
        self._thread.join(CLOSE_TIMEOUT_S)

    # The thread

    def _run(self) -> None:
        try:
            while (current := self._next()) is not None:
                if current:
                    self._step(current)
        except BaseException as error:  # the member's thread raises it, in done()
            with self._changed:
                self._failure = None if self._is_closed else error
        finally:
            self._close_reader()

    def _next(self) -> list[Restoration] | None:
        """What is to be read now; waits for it, and returns None when all is over."""
        is_paused = self._is_paused()
        with self._changed:
            if self._is_closed:
                return None
            active = [one for one in self._wanted.values() if not one.is_standby]
            if active:
                return active
            if self._wanted and not is_paused:
                return list(self._wanted.values())
            if self._wanted:
                self._changed.wait(IDLE_S)
                return []
            if self._reader is None:
                self._changed.wait()
                return []
        # A member with nothing to read keeps no connections, no buffers, and no memory that they had.
        self._close_reader()
        self._tidy()
        return []

    def _step(self, current: Sequence[Restoration]) -> None:
        """Look up what is new, read a batch, write it, hand over what is complete."""
        self._begin([one for one in current if one.position is None])
        reading = [one for one in current if one.position is not None and not self._finish(one)]
        if not reading:
            return
        messages = self._read(reading)
        if messages is None:
            return
        self._read_size.learn(messages)
        self._untidy_records += len(messages)
        is_moved = self._apply(messages)
        self._watch(reading)
        if not is_moved:
            self._tidy()
            with self._changed:
                if not self._is_closed:
                    self._changed.wait(IDLE_S if current[0].is_standby else NEAR_END_S)

    def _begin(self, new: Sequence[Restoration]) -> None:
        """Find out where to begin, and clear what cannot be continued."""
        if not new:
            return
        by_changelog = {one.changelog: one for one in new}
        replicas = [one.replica for one in new]
        found = beginnings(self._store, self._admin, replicas, self._clock.now_ms())
        for changelog, beginning in found.items():
            one = by_changelog[changelog]
            if beginning.reason:
                self._clear(one, beginning.reason)
            one.start, one.end = beginning.offset, beginning.end
            one.position = beginning.offset

    def _clear(self, one: Restoration, reason: str) -> None:
        logger.warning(
            "%s is restored from the beginning of its changelog %s: %s",
            one.replica,
            one.changelog,
            reason,
        )
        with self._writing_to([one]) as held:
            if held:
                region = one.replica.region
                self._store.write((), [CHECKPOINT + region], [clearing(region)])

    def _finish(self, one: Restoration) -> bool:
        """Hand over a task's state that is complete."""
        if one.is_standby or not one.is_complete:
            return False
        with self._changed:
            if not self._is_held(one):
                return True
            del self._wanted[one.changelog]
            self._done.append(one.changelog)
        taken_s = self._clock.monotonic_s() - one.begun_s
        level = logging.INFO if one.end > one.start else logging.DEBUG
        count = one.end - one.start
        logger.log(level, "restored %s: %s records in %.1f s", one.replica, f"{count:,}", taken_s)
        return True

    def _read(self, reading: list[Restoration]) -> list[Message] | None:
        """The next records; None when what is read must be looked up anew first."""
        if self._reader is None:
            self._reader = self._new_reader()
            self._reading = []
        if reading != self._reading:
            self._reader.assign({one.changelog: one.position or 0 for one in reading})
            self._reading = reading
        try:
            messages = self._reader.read(self._read_size.records, READ_TIMEOUT_S)
        except DataLossError:
            if self._has_lost_data:
                raise
            self._has_lost_data = True
            self._close_reader()
            for one in reading:
                one.position = None
            return None
        self._has_lost_data = False
        return messages

    def _apply(self, messages: Sequence[Message]) -> bool:
        """Write a batch together with the checkpoints behind it; tells whether anything was read, if only a transaction's end."""
        assert self._reader is not None
        positions = self._reader.positions()
        moved = [one for one in self._reading if positions.get(one.changelog) != one.position]
        if not moved:
            return False
        with self._writing_to(moved) as held:
            if held:
                released = {one.changelog for one in moved if one not in held}
                self._write(messages, held, released, positions)
        return True

    def _write(
        self,
        messages: Sequence[Message],
        held: Sequence[Restoration],
        released: Set[TopicPartition],
        positions: Mapping[TopicPartition, int],
    ) -> None:
        regions = {one.changelog: one.replica.region for one in held}
        puts, deletes = changes_of(messages, regions, released)
        puts += [checkpoint(region, positions[one]) for one, region in regions.items()]
        self._store.write(puts, deletes)
        for one in held:
            one.position = positions[one.changelog]

    @contextmanager
    def _writing_to(self, some: Sequence[Restoration]) -> Iterator[list[Restoration]]:
        """Those that were not released; `release` and `close` wait until this is left.

        Guarded by test_restore.py: test_a_released_region_is_not_written_to_afterwards.
        """
        with self._changed:
            held = [] if self._is_closed else [one for one in some if self._is_held(one)]
            self._written = frozenset(held)
        try:
            yield held
        finally:
            with self._changed:
                self._written = frozenset()
                self._changed.notify_all()

    def _is_held(self, one: Restoration) -> bool:
        return self._wanted.get(one.changelog) is one

    # Now and then

    def _watch(self, reading: Sequence[Restoration]) -> None:
        now_s = self._clock.monotonic_s()
        if self._is_due("observe", OBSERVE_EVERY_S, now_s):
            for one in reading:
                one.pace.observe(now_s, one.position or 0)
        if not reading[0].is_standby:
            if self._is_due("log", LOG_EVERY_S, now_s):
                for line in lines_of([progress_of(one, now_s) for one in reading]):
                    logger.info("%s", line)
        elif self._is_due("sweep", SWEEP_EVERY_S, now_s):
            self._look_after(reading)

    def _is_due(self, what: str, every_s: float, now_s: float) -> bool:
        """Whether `every_s` have passed since it was last due; not at once."""
        due_s = self._due_s.setdefault(what, now_s + every_s)
        if now_s < due_s:
            return False
        self._due_s[what] = now_s + every_s
        return True

    def _look_after(self, standbys: Sequence[Restoration]) -> None:
        """Sweep standby copies, and see how far behind they are."""
        for one in standbys:
            with self._writing_to([one]) as held:
                if held:
                    sweep(self._store, one.replica, self._clock.now_ms(), SWEEP_ENTRIES)
        try:
            ends = self._admin.ends([one.changelog for one in standbys])
        except BrokerUnavailableError as error:
            logger.debug("the ends of standby copies are not known: %s", error)
            return
        for one in standbys:
            one.end = ends[one.changelog]

    def _tidy(self) -> None:
        if self._untidy_records >= TIDY_RECORDS:
            self._untidy_records = 0
            give_back()

    def _close_reader(self) -> None:
        reader, self._reader, self._reading = self._reader, None, []
        if reader is not None:
            reader.close()
