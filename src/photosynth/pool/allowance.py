"""An allowance: so much at once, and so much a second in the long run."""


class Allowance:
    """A leaky bucket that is told the time (Turner 1986; as the virtual scheduling of ITU-T I.371): one float of state."""

    __slots__ = ("_burst_s", "_each_s", "_used_until_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self._each_s = 1 / per_s
        self._burst_s = burst / per_s
        self._used_until_s = 0.0

    def spend(self, count: int, now_s: float) -> None:
        """Use so much of it, be it there or not."""
        self._used_until_s = max(self._used_until_s, now_s) + count * self._each_s

    def use_up(self, now_s: float) -> None:
        """Leave nothing of the burst."""
        self._used_until_s = max(self._used_until_s, now_s + self._burst_s)

    def wait_s(self, now_s: float) -> float:
        """Seconds until it is in order again; zero or less where it is."""
        return self._used_until_s - self._burst_s - now_s
