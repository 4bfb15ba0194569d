"""How much a webhook takes on at once, and how often: in all, and from one source."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from headrace.connectors.webhook.answers import RefusedError
from headrace.runtime.clock import Clock

SOURCES_MAX = 10_000
"""Sources whose rate is remembered; beyond that the one that was silent for longest begins anew."""


class Bucket:
    """Tokens that come back evenly: `limit` in `per_s` seconds, of which at most `burst` are kept."""

    def __init__(self, limit: int, per_s: float, burst: int, now_s: float) -> None:
        self._rate = limit / per_s
        self._burst = float(burst)
        self._tokens = self._burst
        self._at_s = now_s

    def take(self, now_s: float) -> float:
        """Take one token: 0, or how long it is until there is one."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class RateLimit:
    """A bucket for all, or one per source. Not thread-safe."""

    def __init__(self, limit: int, per_s: float, burst: int, *, is_per_source: bool) -> None:
        self._settings = (limit, per_s, burst)
        self._is_per_source = is_per_source
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def check(self, source: str, now_s: float) -> None:
        """Count a request.

        Raises:
            RefusedError: it is one too many.
        """
        name = source if self._is_per_source else ""
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(*self._settings, now_s)
            if len(self._buckets) > SOURCES_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(name)
        wait_s = bucket.take(now_s)
        if wait_s > 0:
            limit, per_s, _ = self._settings
            whose = " from one source" if self._is_per_source else ""
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {limit} requests{whose} in {per_s:g} s",
                retry_after_s=wait_s,
            )


class InFlight:
    """Counts requests that are being taken in: 503 for too many in all, 429 for too many from one source."""

    def __init__(self, count_max: int, source_max: int) -> None:
        self._count_max = count_max
        self._source_max = source_max
        self._sources: dict[str, int] = {}
        self.count = 0

    @contextmanager
    def one_more(self, source: str, unreported: int) -> Iterator[None]:
        """Count a request while it lasts. `unreported` records of earlier ones have an unknown fate: they count as well.

        Raises:
            RefusedError: it is one too many.
        """
        of_source = self._sources.get(source, 0)
        if of_source >= self._source_max:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._source_max} requests of this source are being taken in already",
                retry_after_s=1,
            )
        if max(self.count, unreported) >= self._count_max:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._count_max} requests are being taken in already",
                retry_after_s=1,
            )
        self.count += 1
        self._sources[source] = of_source + 1
        try:
            yield
        finally:
            self.count -= 1
            left = self._sources[source] - 1
            if left:
                self._sources[source] = left
            else:
                del self._sources[source]


class Held:
    """The bytes of bodies that are held, of which there are at most `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.bytes = 0

    @contextmanager
    def one_body(self) -> Iterator[Callable[[int], None]]:
        """What is called with the size of each part of a body, as it comes in.

        Raises:
            RefusedError: there is no room for it, out of what is called.
        """
        size = 0

        def take(more: int) -> None:
            nonlocal size
            if self.bytes + more > self._bytes_max:
                raise RefusedError(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"{self._bytes_max:,} bytes of bodies are being taken in already",
                    retry_after_s=1,
                    headers={"connection": "close"},
                )
            self.bytes += more
            size += more

        try:
            yield take
        finally:
            self.bytes -= size


class Limits:
    """All limits of one webhook."""

    def __init__(
        self, clock: Clock, rates: list[RateLimit], in_flight: InFlight, held: Held
    ) -> None:
        self._clock = clock
        self._rates = rates
        self.in_flight = in_flight
        self.held = held

    def check_rate(self, source: str) -> None:
        """Count a request before anything is done for it.

        Raises:
            RefusedError: it is one too many.
        """
        if self._rates:
            now_s = self._clock.monotonic_s()
            for rate in self._rates:
                rate.check(source, now_s)
