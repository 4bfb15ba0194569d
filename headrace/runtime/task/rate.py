"""A rate limit: a bucket of tokens that fills evenly."""

from headrace.runtime.flow.model import Rate


class Bucket:
    """Belongs to one event loop. Times are seconds of a monotonic clock."""

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._limit = rate.limit
        self._per_s = rate.limit / rate.per.total_seconds()
        self._tokens = float(rate.limit)
        self._at_s = now_s

    def take(self, count: int, now_s: float) -> float:
        """Take tokens, and return how many seconds to wait before they count; 0 when they are there."""
        self._tokens = min(self._limit, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        self._tokens -= count
        return max(-self._tokens / self._per_s, 0.0)

    def give_back(self, count: int) -> None:
        """Calls that were not made after all."""
        self._tokens += count
