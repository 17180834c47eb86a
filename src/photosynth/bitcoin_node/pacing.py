"""The demonstration's target as the node keeps it: shared by two threads, saved with every block, restored at the start."""

import json
import threading
from collections.abc import Callable

import structlog

from photosynth.bitcoin.demonstration import DemonstrationTarget
from photosynth.bitcoin.node import Tip
from photosynth.bitcoin.wire import FormatError

_log = structlog.get_logger("photosynth.bitcoin_node")


class Pacing:
    """Tells templates the demonstration's target and teaches it every new tip; without one it does nothing.

    ``now_s`` is the wall clock in seconds since the epoch. All methods may be called from any thread.
    """

    def __init__(self, demonstration: DemonstrationTarget | None, now_s: Callable[[], float]) -> None:
        self._demonstration = demonstration
        self._now_s = now_s
        self._lock = threading.Lock()

    def restore(self, saved: bytes | None) -> None:
        """Go on from what :meth:`tip_changed` gave once; the interval and declared hash rate stay as given now."""
        if self._demonstration is None or saved is None:
            return
        fresh = self._demonstration
        try:
            self._demonstration = DemonstrationTarget.from_json(
                saved.decode(),
                interval_s=fresh.interval_s,
                start_hash_rate_hs=json.loads(fresh.to_json())["declared_hs"],
            )
        except FormatError as error:
            _log.warning("demonstration starts anew", reason=str(error))

    def target(self) -> tuple[int | None, float | None]:
        """The target now, and when it will change by itself (seconds since the epoch, None for not before the tip does).

        None and None without a demonstration.
        """
        if self._demonstration is None:
            return None, None
        with self._lock:
            now_s = self._now_s()
            return self._demonstration.target(now_s), self._demonstration.next_change_s(now_s)

    def tip_changed(self, before: Tip, tip: Tip) -> bytes | None:
        """Learn from a new tip, and return the state to save, None without a demonstration.

        A block on the former tip that meets the demonstration's target was mined at it; any other is from elsewhere.
        """
        if self._demonstration is None:
            return None
        with self._lock:
            now_s = self._now_s()
            target = self._demonstration.target(now_s)
            if tip.height == before.height + 1 and int.from_bytes(tip.hash, "little") <= target:
                self._demonstration.found(now_s, target)
            else:
                self._demonstration.interrupted(now_s)
            return self._demonstration.to_json().encode()
