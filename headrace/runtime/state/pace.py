"""How fast something goes, over the last seconds."""

MARK_S = 5.0


class Pace:
    """Measures over the last five to ten seconds, so that what happened long ago does not count."""

    __slots__ = ("_earlier", "_latest")

    def __init__(self) -> None:
        self._earlier: tuple[float, int] | None = None
        self._latest: tuple[float, int] | None = None

    def observe(self, now_s: float, position: int) -> None:
        """Call it about once a second."""
        if self._earlier is None or self._latest is None:
            self._earlier = self._latest = (now_s, position)
        elif now_s - self._latest[0] >= MARK_S:
            self._earlier, self._latest = self._latest, (now_s, position)

    def per_s(self, now_s: float, position: int) -> float:
        """Records per second until now; 0 when nothing was observed yet."""
        if self._earlier is None or now_s <= self._earlier[0]:
            return 0.0
        return max(0.0, (position - self._earlier[1]) / (now_s - self._earlier[0]))
