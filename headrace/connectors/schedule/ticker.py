"""Decides at each step which due times fire, and writes them in a transaction with the position."""

import logging
from datetime import UTC, timedelta

import orjson

from headrace.connectors.schedule.config import ScheduleConfig
from headrace.connectors.schedule.overlap import LOOK_S, Underway
from headrace.connectors.schedule.position import Position, Positions
from headrace.connectors.schedule.tick import Tick, iso, ready_ms
from headrace.connectors.schedule.times import backlog
from headrace.runtime.contracts.feed import FeedPlace, FeedState, FeedStatus
from headrace.runtime.errors import HeadraceError, TransactionError
from headrace.runtime.expression.computation import Computation

logger = logging.getLogger(__name__)

TIMEOUT_S = 30.0
KEEP_ALIVE_MS = 6 * 3_600_000
"""Kafka forgets a transactional id that is not used for a week, so that rare schedules write their position in between."""
NEVER_S = 3_600.0


class Ticker:
    """A schedule at work. Belongs to one thread.

    =========== ==================================================================
    state       what is so
    =========== ==================================================================
    not begun   another one may still be at work
    begun       this is the only one; `due_ms` is the last due time dealt with
    failed      `step` raised: what was committed is not known, make another ticker
    =========== ==================================================================
    """

    def __init__(
        self, config: ScheduleConfig, place: FeedPlace, topic: str, flow: str, stage: str
    ) -> None:
        self._config = config
        self._place = place
        self._topic = topic
        self._stage = stage
        self._name = f"{flow}.{stage}"
        self._times = config.times()
        self._jitter_ms = config.jitter // timedelta(milliseconds=1)
        self._data = Computation("data", config.data, "event") if config.data is not None else None
        self._producer = place.producer()
        self._underway: Underway | None = None
        self._positions = Positions(place)
        self._due_ms = 0
        self._written_ms = 0
        self._counts = {"ticks": 0, "missed": 0, "skipped": 0}

    def begin(self) -> None:
        """Fence the predecessor, then find out how far it came.

        A schedule that never ran, or whose times were changed, begins now: nothing before this moment was missed.

        Raises:
            HeadraceError: as of a `Producer`.
        """
        self._producer.init_transactions(TIMEOUT_S)
        found = self._positions.read()
        self._written_ms = self._place.clock.now_ms()
        if found is not None and found.schedule == self._times.text:
            self._due_ms = found.due_ms
        else:
            self._write((), self._written_ms)
        self._report()

    def step(self) -> float:
        """Fire what is due. Returns after how many seconds there may be more to do.

        Raises:
            HeadraceError: as of a `Producer`; what was committed is not known then.
        """
        now_ms = self._place.clock.now_ms()
        due_ms = self._times.after(self._due_ms)
        if due_ms is None:
            self._place.report(FeedStatus(state="waiting", text="the schedule is over"))
            return NEVER_S
        at_ms = self._ready_ms(due_ms)
        if now_ms < at_ms:
            if now_ms - self._written_ms >= KEEP_ALIVE_MS:
                self._write((), self._due_ms)
            return (at_ms - now_ms) / 1000
        if self._config.overlap != "allow" and self._is_underway():
            if self._config.overlap == "wait":
                self._report("waits until the flow is through with the tick before")
                return LOOK_S
            self._let_go(due_ms, now_ms)
            return 0.0
        self._fire(due_ms, now_ms)
        return 0.0

    def close(self) -> None:
        """Let go of the clients. May be called again."""
        self._producer.close()
        if self._underway is not None:
            self._underway.close()

    def _fire(self, due_ms: int, now_ms: int) -> None:
        config = self._config
        keep = config.misfire_limit if config.misfire == "all" else 1
        found = backlog(self._times, self._due_ms, self._last_ready_ms(due_ms, now_ms), keep)
        fired = found.latest
        missed = found.many - len(fired)
        if config.misfire == "all":
            if missed:
                logger.warning(
                    "schedule '%s' was due %d times while nothing ran; more than misfire_limit, so that only the latest"
                    " %d fire",
                    self._place.name,
                    found.many,
                    len(fired),
                )
            if config.overlap != "allow":
                fired = fired[:1]  # the others when the flow is through with it
        elif config.misfire == "skip" and now_ms - self._ready_ms(fired[-1]) > _ms(
            config.tolerance
        ):
            missed, fired = found.many, ()
            logger.warning(
                "schedule '%s' was due %d times while nothing ran; misfire: skip lets them go",
                self._place.name,
                missed,
            )
        ticks = [Tick(one, missed if i == 0 else 0) for i, one in enumerate(fired)]
        self._write(tuple(ticks), fired[-1] if fired else found.latest[-1])
        self._counts["ticks"] += len(ticks)
        self._counts["missed"] += missed
        self._report()

    def _last_ready_ms(self, due_ms: int, now_ms: int) -> int:
        """The moment up to which due times are ready; jitter may hold back the last of those that are due."""
        if not self._jitter_ms:
            return now_ms
        (last,) = backlog(self._times, self._due_ms, now_ms, 1).latest
        return last if last == due_ms or now_ms >= self._ready_ms(last) else last - 1

    def _is_underway(self) -> bool:
        if self._underway is None:
            self._underway = Underway(self._place, self._topic, self._stage)
        return self._underway.is_any()

    def _let_go(self, due_ms: int, now_ms: int) -> None:
        """Pass over everything that is due, since the flow is not through with what came before."""
        last_ms = self._last_ready_ms(due_ms, now_ms)
        found = backlog(self._times, self._due_ms, last_ms, 1)
        self._write((), found.latest[-1])
        self._counts["skipped"] += found.many
        logger.warning(
            "schedule '%s' let %s go: the flow is not through with the tick before (overlap: skip)",
            self._place.name,
            iso(found.latest[-1], UTC),
        )
        self._report()

    def _write(self, ticks: tuple[Tick, ...], due_ms: int) -> None:
        """Commit ticks and the position behind them, all or nothing."""
        producer, name = self._producer, self._name
        values = [orjson.dumps(self._event(tick, name)) for tick in ticks]
        producer.begin_transaction()
        try:
            for tick, value in zip(ticks, values, strict=True):
                headers = [("schedule-id", tick.id.encode())]
                producer.produce(self._topic, value, name, 0, None, None, tick.due_ms, headers)
            self._positions.write(producer, Position(due_ms, self._times.text))
        except HeadraceError:
            raise
        except Exception as error:
            if self._place.broker.reaction(error) is None:
                raise
            raise TransactionError(
                f"a tick was refused by topic '{self._topic}': {error}"
            ) from error
        producer.flush(TIMEOUT_S)
        producer.commit_transaction(TIMEOUT_S)
        self._due_ms = due_ms
        self._written_ms = self._place.clock.now_ms()

    def _event(self, tick: Tick, name: str) -> object:
        event = tick.event(name, self._config.zone)
        return event if self._data is None else self._data(event)

    def _ready_ms(self, due_ms: int) -> int:
        return ready_ms(self._times, self._place.name, due_ms, self._jitter_ms)

    def _report(self, text: str = "") -> None:
        following = self._times.after(self._due_ms)
        if following is not None and not text:
            text = f"due next at {iso(following, UTC)}"
        figures = {name: float(count) for name, count in self._counts.items()}
        state: FeedState = "waiting" if text.startswith("waits") else "running"
        if following is not None:
            figures["due_next_ms"] = float(following)
        self._place.report(FeedStatus(state=state, text=text, figures=figures))


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
