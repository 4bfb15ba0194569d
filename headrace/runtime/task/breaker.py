"""A circuit breaker: one target of one stage, closed while it answers, open while it does not."""

from dataclasses import dataclass
from typing import Literal

from headrace.runtime.flow.model import Breaker

BreakerState = Literal["closed", "open", "half_open"]


@dataclass
class Circuit:
    """Belongs to one event loop. Times are seconds of a monotonic clock.

    Open after `failures` failures in a row; `pause` later half open: `probes` calls go through, and close it when all of them
    succeed. The first that fails opens it anew.
    """

    policy: Breaker
    state: BreakerState = "closed"
    failures: int = 0
    opened: int = 0
    """How often it has opened."""
    _open_until_s: float = 0.0
    _probing: int = 0
    _succeeded: int = 0

    def admit(self, count: int, now_s: float) -> int:
        """How many of `count` calls may be made now; each of them must be told of by `succeeded`, `failed` or `left`."""
        if self.state == "closed":
            return count
        if self.state == "open":
            if now_s < self._open_until_s:
                return 0
            self.state, self._probing, self._succeeded = "half_open", 0, 0
        admitted = min(count, self.policy.probes - self._probing - self._succeeded)
        self._probing += admitted
        return admitted

    def wait_s(self, now_s: float) -> float:
        """How long until it is worth asking again; a moment where probes are under way."""
        return max(self._open_until_s - now_s, 0.05)

    def succeeded(self) -> None:
        """A call that was admitted has been answered."""
        self.failures = 0
        if self.state == "half_open":
            self._probing -= 1
            self._succeeded += 1
            if self._succeeded >= self.policy.probes:
                self.state = "closed"

    def failed(self, now_s: float) -> None:
        """A call that was admitted has failed, and it is the target that fails."""
        self.failures += 1
        if self.state == "half_open" or (
            self.state == "closed" and self.failures >= self.policy.failures
        ):
            self.state = "open"
            self.opened += 1
            self._open_until_s = now_s + self.policy.pause.total_seconds()

    def left(self) -> None:
        """A call that was admitted was never made, or tells nothing of the target."""
        if self.state == "half_open":
            self._probing -= 1
