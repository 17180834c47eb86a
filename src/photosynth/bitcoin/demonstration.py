"""The demonstration target: what keeps a regtest chain that is really hashed at a declared pace.

Regtest admits every second hash. A block that meets a harder target is valid everywhere, so the node (or the driver of
a node) hands out templates with this one and everything else follows the template. The state machine estimates the hash
rate from a short window of blocks, in whole milliseconds and exact hashes:

* the first block of a chain is expected after about a second at the declared hash rate;
* after every block comes a hold of half a second in which the target is 0, which no hash meets: whoever mines, the
  chain never passes two blocks a second;
* every block then retargets towards the declared interval, so that a guest 400 times faster is absorbed in about ten;
* a block that lets four intervals pass counts as four: a night without mining does not collapse the target. From there
  on the target eases step by step, down to a sixteenth of the declared hash rate, because after a fast guest has left
  the chain would otherwise stand still for hours.

Times passed in are seconds since the epoch (the state outlives a process); clocks that jump back do no harm.
"""

import json
import math
from collections import deque

from photosynth.bitcoin.wire import FormatError
from photosynth.quantities.work import TWO_256, target_of_work, work_of_target

HOLD_MS = 500
WINDOW = 10
FIRST_BLOCK_MS = 1_000
PATIENCE = 4
"""Intervals without a block that count as bad luck (it happens to one block in 55); beyond, the target eases."""
EASE_STEPS_PER_INTERVAL = 2
"""How often the eased work halves in one interval."""
LEAST_SHARE_OF_DECLARED = 16
MIN_MINING_MS = 100
_PRIOR_BLOCKS = 4
_WHAT = "demonstration state"
_LONGEST_MS = PATIENCE * 86_400_000 + 1
_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)


class DemonstrationTarget:
    """Tells the target now, and learns from every block. Pure: no clock, no I/O; not for several threads.

    ``interval_s`` wall-clock seconds between blocks, at least 0.6; ``start_hash_rate_hs`` the hash rate to expect (real
    hashes per second). Raises ValueError where either is out of range.
    """

    def __init__(self, interval_s: float, start_hash_rate_hs: int) -> None:
        if not 0.6 <= interval_s <= 86_400:
            raise ValueError(f"a demonstration's blocks come every 0.6 to 86400 seconds, not every {interval_s}")
        if not 1 <= start_hash_rate_hs <= 10**18:
            raise ValueError(f"a demonstration's hash rate is a positive number of hashes, not {start_hash_rate_hs}")
        self._interval_ms = round(interval_s * 1000)
        self._declared_hs = start_hash_rate_hs
        self._blocks = 0
        self._window: deque[tuple[int, int]] = deque(maxlen=WINDOW)
        self._last_found_ms: int | None = None
        self._since_ms: int | None = None
        self.reset()

    @property
    def interval_s(self) -> float:
        """Seconds between blocks that the chain is steered to."""
        return self._interval_ms / 1000

    @property
    def blocks(self) -> int:
        """How many blocks it has learnt from since the last reset."""
        return self._blocks

    @property
    def hash_rate_hs(self) -> int:
        """Hashes per second that the window of blocks makes believe."""
        hashes = sum(work for work, _ in self._window)
        taken_ms = sum(ms for _, ms in self._window)
        # n exponential waiting times overstate the rate by n / (n - 1); easing understates it by about as much.
        return max(1, hashes * 1000 // taken_ms)

    def target(self, now_s: float) -> int:
        """What a block's hash must not exceed now; 0, which no hash meets, during the hold. The first look starts time."""
        now_ms = _ms(now_s)
        if self._held_until_ms(now_ms) > now_ms:
            return 0
        return target_of_work(self._eased_work(self._mining_ms(now_ms)))

    def next_change_s(self, now_s: float) -> float | None:
        """When :meth:`target` will change by itself: the end of the hold or the next step of easing; None if never."""
        now_ms = _ms(now_s)
        held_until_ms = self._held_until_ms(now_ms)
        if held_until_ms > now_ms:
            return held_until_ms / 1000
        mining_ms = self._mining_ms(now_ms)
        if self._eased_work(mining_ms) <= min(self._nominal_work(), self._least_work()):
            return None
        steps = self._ease_steps(mining_ms)
        return (now_ms - mining_ms + self._patience_ms() + (steps + 1) * self._step_ms()) / 1000

    def found(self, now_s: float, target: int) -> None:
        """A block arrived that was mined at this target: retarget and start the hold.

        A target of 0 says that it came during the hold, so from elsewhere, and teaches nothing.
        """
        if target <= 0:
            self.interrupted(now_s)
            return
        now_ms = _ms(now_s)
        work, nominal = work_of_target(target), self._nominal_work()
        if 0 < work < nominal and self._blocks:
            # Found at an eased target: the hash rate of the window is no longer there.
            self._window = deque(((max(1, w * work // nominal), ms) for w, ms in self._window), maxlen=WINDOW)
        taken_ms = min(max(self._mining_ms(now_ms), 1), PATIENCE * self._mining_share_ms())
        self._window.append((work, taken_ms))
        self._blocks += 1
        self.interrupted(now_s)

    def interrupted(self, now_s: float) -> None:
        """The tip changed by a block that was not mined at our target (an import, a peer): hold, and learn nothing."""
        self._last_found_ms = self._since_ms = math.ceil(now_s * 1000)

    def resume(self) -> None:
        """Mining begins again after a pause that is not to count (a restart): the next look starts the clock."""
        self._since_ms = None

    def reset(self) -> None:
        """Forget all blocks: a new chain, whose first block is expected within about a second."""
        share_ms = self._mining_share_ms()
        self._window.clear()
        self._window.extend([(max(1, self._declared_hs * share_ms // 1000), share_ms)] * _PRIOR_BLOCKS)
        self._blocks = 0
        self._last_found_ms = self._since_ms = None

    def to_json(self) -> str:
        """The state as text for :meth:`from_json`; the pause between the two does not count as mining."""
        return json.dumps(
            {
                "interval_ms": self._interval_ms,
                "declared_hs": self._declared_hs,
                "blocks": self._blocks,
                "last_found_ms": self._last_found_ms,
                "window": [[str(work), taken_ms] for work, taken_ms in self._window],
            }
        )

    @classmethod
    def from_json(
        cls, text: str, *, interval_s: float | None = None, start_hash_rate_hs: int | None = None
    ) -> "DemonstrationTarget":
        """The state that :meth:`to_json` wrote; another interval or declared hash rate may take over what was learnt.

        Raises FormatError where the text is not such a state.
        """
        try:
            data = json.loads(text)
            state = cls(
                data["interval_ms"] / 1000 if interval_s is None else interval_s,
                int(data["declared_hs"]) if start_hash_rate_hs is None else start_hash_rate_hs,
            )
        except _UNREADABLE as error:
            raise FormatError(_WHAT, 0, f"{type(error).__name__}: {error}") from error
        state.restore(text)
        return state

    def restore(self, text: str) -> None:
        """Take over what the state of :meth:`to_json` had learnt, keeping this interval and declared hash rate.

        Raises FormatError where the text is not such a state, and changes nothing then.
        """
        try:
            data = json.loads(text)
            window = [(int(work), int(taken_ms)) for work, taken_ms in data["window"]]
            if not 1 <= len(window) <= WINDOW:
                raise ValueError(f"the window holds 1 to {WINDOW} blocks, not {len(window)}")
            if not all(1 <= work < TWO_256 and 1 <= taken_ms < _LONGEST_MS for work, taken_ms in window):
                raise ValueError("a block of the window is out of range")
            blocks = int(data["blocks"])
            last_found_ms = None if data["last_found_ms"] is None else int(data["last_found_ms"])
        except _UNREADABLE as error:
            raise FormatError(_WHAT, 0, f"{type(error).__name__}: {error}") from error
        self._window = deque(window, maxlen=WINDOW)
        self._blocks = blocks
        self._last_found_ms = last_found_ms
        self._since_ms = None

    def _mining_share_ms(self) -> int:
        return max(MIN_MINING_MS, self._interval_ms - HOLD_MS)

    def _nominal_work(self) -> int:
        mining_ms = self._mining_share_ms() if self._blocks else FIRST_BLOCK_MS
        return max(1, self.hash_rate_hs * mining_ms // 1000) if self._blocks else max(1, self._declared_hs)

    def _least_work(self) -> int:
        return max(1, self._declared_hs * self._mining_share_ms() // 1000 // LEAST_SHARE_OF_DECLARED)

    def _patience_ms(self) -> int:
        return PATIENCE * self._interval_ms

    def _step_ms(self) -> int:
        return max(1, self._interval_ms // EASE_STEPS_PER_INTERVAL)

    def _ease_steps(self, mining_ms: int) -> int:
        over_ms = mining_ms - self._patience_ms()
        return 0 if over_ms < 0 else over_ms // self._step_ms()

    def _eased_work(self, mining_ms: int) -> int:
        nominal = self._nominal_work()
        steps = min(self._ease_steps(mining_ms), 256)
        return min(nominal, max(nominal >> steps, self._least_work(), 1))

    def _held_until_ms(self, now_ms: int) -> int:
        """When the hold ends; now where there is none, also where the clock was set back behind the last block."""
        if self._last_found_ms is None or now_ms < self._last_found_ms - HOLD_MS:
            return now_ms
        return self._last_found_ms + HOLD_MS

    def _mining_ms(self, now_ms: int) -> int:
        """Milliseconds in which the present block could have been mined."""
        if self._since_ms is None or now_ms < self._since_ms - HOLD_MS:
            self._since_ms = now_ms
        start_ms = self._since_ms
        if self._since_ms == self._last_found_ms:
            start_ms += HOLD_MS
        return max(0, now_ms - start_ms)


def _ms(seconds: float) -> int:
    return math.floor(seconds * 1000)
