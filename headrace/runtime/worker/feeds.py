"""Runs the feeds of a worker's triggers: each exclusive one where its partition is, the routes on every worker."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import Any, Final

from headrace.runtime.clock import Clock
from headrace.runtime.contracts.broker import Broker, TopicPartition
from headrace.runtime.contracts.feed import Exclusive, Feed, FeedPlace, FeedStatus, Route
from headrace.runtime.environment import Values
from headrace.runtime.errors import (
    FencedError,
    HeadraceError,
    RestartError,
    RetriableError,
    SettingsError,
)
from headrace.runtime.expression.given import values_of
from headrace.runtime.plan import Plan, feeds_of
from headrace.runtime.settings import WorkerSettings

logger = logging.getLogger(__name__)

LOOK_S = 0.1
"""How often it is looked whose partitions are whose."""
PAUSE_S, PAUSE_S_MAX = 0.5, 30.0
_LEVELS: Final = {"failed": logging.ERROR, "retrying": logging.WARNING}
FAILED_PAUSE_S = 30.0
"""A feed that cannot go on is begun anew so often: somebody may have mended what was wrong."""
JOIN_S = 10.0


def place_of(
    plan: Plan,
    stage: str,
    feed: Feed,
    *,
    settings: WorkerSettings,
    broker: Broker,
    values: Values,
    clock: Clock,
    stopped: Event,
    report: Callable[[FeedStatus], None],
) -> FeedPlace:
    """Where a feed of a flow runs.

    Raises:
        SettingsError: a variable or a secret is missing.
    """
    slug = plan.graph.by_name[stage].stage.slug
    return FeedPlace(
        name=f"{plan.prefix}.{plan.graph.flow.slug}.{slug}",
        flow=plan.name,
        stage=stage,
        settings=values_of(feed.settings(), values.env, values.secret),
        broker=broker,
        client=settings.client,
        clock=clock,
        stopped=stopped,
        report=report,
        group=plan.group,
    )


@dataclass
class _Exclusive:
    """One exclusive feed, and the thread in which it runs while its partition is here."""

    feed: Exclusive
    group: str
    owner: TopicPartition
    place: Callable[[Event], FeedPlace]
    stopped: Event = field(default_factory=Event)
    thread: Thread | None = None


class Feeds:
    """Belongs to the worker. `statuses` and `routes` are for all threads.

    Args:
        assignment: the partitions that a group has in this worker now.
        fail: ends the worker.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        settings: WorkerSettings,
        broker: Broker,
        values: Values,
        clock: Clock,
        assignment: Callable[[str], frozenset[TopicPartition]],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.statuses: dict[tuple[str, str], FeedStatus] = {}
        self.routes: dict[str, Any] = {}
        self.is_open = False
        """Whether `routes` has all there are."""
        self._clock = clock
        self._assignment = assignment
        self._fail = fail
        self._stopped = Event()
        self._thread: Thread | None = None
        self._exclusive: list[_Exclusive] = []
        self._applications: list[tuple[Route, FeedPlace]] = []
        for plan in plans:
            for stage, feed in feeds_of(plan):
                place = partial(
                    place_of,
                    plan,
                    stage,
                    feed,
                    settings=settings,
                    broker=broker,
                    values=values,
                    clock=clock,
                    report=partial(self._report, (plan.name, stage)),
                )
                if isinstance(feed, Exclusive):
                    owner = TopicPartition(feed.topics()[0].name, 0)
                    made = partial(_placed, place)
                    self._exclusive.append(_Exclusive(feed, plan.group, owner, made))
                    made(self._stopped)  # so that a missing secret is told before anything runs
                elif isinstance(feed, Route):
                    if settings.http is None:
                        raise SettingsError(
                            f"flow '{plan.name}': stage '{stage}' answers over HTTP, but the worker does not listen:"
                            " start it with --http 127.0.0.1:8080, or set http"
                        )
                    self._applications.append((feed, place(stopped=self._stopped)))

    def _report(self, key: tuple[str, str], status: FeedStatus) -> None:
        before = self.statuses.get(key)
        self.statuses = {**self.statuses, key: status}
        is_text_news = (
            status.state in ("failed", "retrying") and before and before.text != status.text
        )
        if before is None or before.state != status.state or is_text_news:
            level = _LEVELS.get(status.state, logging.INFO)
            text = f": {status.text}" if status.text else ""
            logger.log(level, "flow '%s': '%s' is %s%s", *key, status.state, text)

    # ---- routes: in the event loop

    def open_routes(self) -> None:
        """Make the applications; belongs to the event loop.

        Raises:
            SettingsError: two stages have one path, or an extra is missing.
        """
        for feed, place in self._applications:
            path = feed.path()
            if path in self.routes:
                raise SettingsError(f"two webhooks have the path '{path}'; give one another path")
            self.routes[path] = feed.application(place)
        self.is_open = True

    async def close_routes(self) -> None:
        """Take nothing more. The applications stay to say so: a sender that is told 404 may never come again."""
        for application in self.routes.values():
            close = getattr(application, "close", None)
            if close is not None:
                await close()

    # ---- exclusive feeds: in threads

    def start(self) -> None:
        """Begin to run what is here."""
        if self._exclusive:
            self._thread = Thread(target=self._watch, name="headrace feeds", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask all feeds to end; returns at once. Thread-safe."""
        self._stopped.set()
        for one in self._exclusive:
            one.stopped.set()

    def join(self) -> None:
        """Wait until they have ended, for a while."""
        if self._thread is not None:
            self._thread.join(JOIN_S)
        for one in self._exclusive:
            if one.thread is not None:
                one.thread.join(JOIN_S)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            for one in self._exclusive:
                is_here = one.owner in self._assignment(one.group)
                is_running = one.thread is not None and one.thread.is_alive()
                if is_here and not is_running:
                    one.stopped = Event()
                    one.thread = Thread(
                        target=self._run, args=(one, one.stopped), name="headrace feed", daemon=True
                    )
                    one.thread.start()
                elif not is_here and is_running:
                    one.stopped.set()
            self._stopped.wait(LOOK_S)
        for one in self._exclusive:
            one.stopped.set()

    def _run(self, one: _Exclusive, stopped: Event) -> None:
        place = one.place(stopped)
        pause_s = PAUSE_S
        while not stopped.is_set():
            begun_s = self._clock.monotonic_s()
            try:
                one.feed.run(place)
                break
            except FencedError as error:
                place.report(FeedStatus(state="waiting", text=f"another worker has it: {error}"))
                stopped.wait(PAUSE_S_MAX)  # by then the group has told whose it is
            except RetriableError as error:
                if self._clock.monotonic_s() - begun_s > PAUSE_S_MAX:
                    pause_s = PAUSE_S
                place.report(FeedStatus(state="retrying", text=str(error)))
                stopped.wait(pause_s)
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
            except RestartError as error:
                place.report(FeedStatus(state="failed", text=str(error)))
                self._fail(error)
                return
            except HeadraceError as error:
                place.report(FeedStatus(state="failed", text=str(error)))
                stopped.wait(FAILED_PAUSE_S)
            except BaseException as error:
                logger.exception("flow '%s': '%s' ended by a mistake", place.flow, place.stage)
                self._fail(error)
                return


def _placed(place: Callable[..., FeedPlace], stopped: Event) -> FeedPlace:
    return place(stopped=stopped)
