"""One machine under control, sans-I/O: what it shall do, what it shows, what must be sent next, and what is wrong.

The rules that keep a fleet calm live here. A command is judged by readings alone and only after the model's ramp; while
it is under way no other is sent, except sleep. What does not obey is tried again with growing patience, is named, and is
worked around: a machine that ignores limits is switched only, one that ignores everything is a fixed load.
"""

from collections import deque
from typing import Any, Literal

from photosynth.miners.commands import Command, Outcome, Pending
from photosynth.miners.conditions import Conditions
from photosynth.miners.machine import Answer, MachineReading
from photosynth.miners.model import MachineModel
from photosynth.miners.verification import allowed_ms, describe, is_on, judge, judge_awake, off_below_w
from photosynth.quantities.instants import iso_utc

State = Literal["running", "starting", "stopping", "sleeping", "unreachable", "faulty", "unknown"]
Regulation = Literal["steps", "on_off", "none"]

PROOFS_TO_NAME = 2
"""Commands in a row that must fail to show before a machine is said to ignore them."""
MISSES_TO_LEAVE = 2
FIRST_PATIENCE_MS = 60_000
LONGEST_PATIENCE_MS = 3_600_000
FIRST_RETEST_MS = 1_800_000
LONGEST_RETEST_MS = 21_600_000
DAY_MS = 86_400_000
DROPS_TO_NAME = 2
ODD_READINGS_TO_NAME = 3
DRIFTS_TO_RESEND = 2
HASHLESS_WALL_MS = 60_000
"""How long a machine may draw power without hashing: a pool that restarts is back by then."""
FIRST_REST_MS = 1_800_000


class Unit:
    """One machine's control state. ``floor_wall_ms`` is the least wall time between a command and its judgement."""

    def __init__(self, machine: str, model: MachineModel, floor_wall_ms: int) -> None:
        self.id, self.model = machine, model
        self.conditions = Conditions(machine)
        self.desired_w: int | None = None
        self.reason, self.actor = "no target yet", ""
        self.reading: MachineReading | None = None
        self.reading_wall_ms: int | None = None
        self.temperature_c: int | None = None
        self.pool_url: str | None = None
        self.pending: Pending | None = None
        self.sending = False
        self.unreachable = False
        self.regulation: Regulation = "steps"
        self.fixed_power_w: int | None = None
        self.commanded_w: int | None = None
        self.starts = 0
        self.changed_ms: int | None = None
        self.state: State = "unknown"
        self.state_since_ms: int | None = None
        self._on: bool | None = None
        self._floor_wall_ms = floor_wall_ms
        self._misses = self._tries = self._deaf = self._ignored = self._retests = 0
        self._drifts = self._odd_power = self._rests = 0
        self._next_try_ms = self._tried_ms = self._rest_until_ms = 0
        self._odd_hash_wall_ms: int | None = None
        self._regulate_again_ms: int | None = None
        self._left: deque[int] = deque(maxlen=8)

    # --- what it shall do ---------------------------------------------------------------------------------------

    def wish(self, watts: int, reason: str, actor: str) -> None:
        """What it shall draw from now on; zero is asleep."""
        if watts != self.desired_w:
            self.desired_w = watts
            self._drifts = 0
        self.reason, self.actor = reason, actor

    def insist(self) -> None:
        """Forget patience: the next command may go at once."""
        self._next_try_ms = 0

    def goal_w(self, now_ms: int) -> int | None:
        """The wish as this machine can meet it; a machine that rests has to sleep."""
        if not self.desired_w:
            return self.desired_w
        if now_ms < self._rest_until_ms:
            return 0
        if self.regulation != "on_off":
            return min(self.desired_w, self.model.power_w)
        return self.fixed_power_w or self.model.power_w

    def reason_at(self, now_ms: int) -> str:
        """Why it shall be as :meth:`goal_w` says: its wish's reason, unless it has to rest."""
        if self.desired_w and now_ms < self._rest_until_ms:
            return f"Rests until {iso_utc(self._rest_until_ms)}: it drew power without hashing."
        return self.reason

    def usable(self, now_ms: int) -> bool:
        """Whether it can be counted on to take an order now."""
        waiting = "does_not_wake" in self.conditions and now_ms < self._next_try_ms
        return self.regulation != "none" and not waiting and now_ms >= self._rest_until_ms

    def due(self, now_ms: int) -> Command | None:
        """What to send now, or nothing."""
        goal = self.goal_w(now_ms)
        if goal is None or self.sending or self.unreachable or self.reading is None:
            return None
        patience_ends_ms = self._next_try_ms
        if goal == 0 and self.regulation != "none":  # sleep does not wait for long, whatever failed before
            patience_ends_ms = min(patience_ends_ms, self._tried_ms + FIRST_PATIENCE_MS)
        if now_ms < patience_ends_ms:
            return None
        if self.pending is not None:
            urgent = goal == 0 and self.pending.command.kind != "sleep"
            return Command("sleep", 0) if urgent else None
        on = is_on(self.model, self.reading)
        if goal == 0:
            return Command("sleep", 0) if on else None
        if not on:
            return Command("wake", goal)
        there = judge(self.model, goal, self.reading).power_met is not False
        if self.regulation != "steps":  # one that does nothing gets its rare test, here by a power
            return Command("set_power", goal) if self.regulation == "none" and not there else None
        if self.commanded_w is None and there:
            self.commanded_w = goal  # whoever sent it there
        if self.commanded_w != goal or self._drifts >= DRIFTS_TO_RESEND:
            return Command("set_power", goal)
        return None

    # --- what was sent ------------------------------------------------------------------------------------------

    def sent(self, command: Command, action: int, answer: Answer, now_ms: int, wall_ms: int) -> list[Outcome]:
        """The machine answered. What is settled by that: an action that it refused, and one that this one replaced."""
        ended = self.supersede(f"replaced by {command.text}") if self.pending is not None else []
        if not answer.accepted:
            self._failed(now_ms)
            if self._tries >= PROOFS_TO_NAME:
                self.conditions.show("refuses_commands", f"to '{command.text}' it said: {answer.text}", now_ms)
            return [*ended, Outcome(action, "refused", answer.text, "", None)]
        before, self._drifts = self.reading, 0
        rising = before is None or (before.power_w or 0) < command.watts
        allowed = allowed_ms(self.model, command.kind, rising)
        self.pending = Pending(command, action, now_ms, wall_ms, allowed, before, answer.text)
        self.commanded_w = command.watts if command.exact else None
        if command.kind != "set_power":
            self.changed_ms = now_ms
        self._settle_state(now_ms)
        return ended

    def not_sent(self, action: int, error: str, now_ms: int) -> list[Outcome]:
        """The command did not get through."""
        self._failed(now_ms)
        return [Outcome(action, "failed", error, "", None)]

    def supersede(self, text: str) -> list[Outcome]:
        """Give up waiting for the pending command's proof."""
        pending, self.pending = self.pending, None
        if pending is None:
            return []
        seen = describe(self.reading) if self.reading is not None else "no reading"
        return [Outcome(pending.action, "unverified", pending.answer, f"{text}; {seen}", None)]

    # --- what it shows ------------------------------------------------------------------------------------------

    def observe(self, reading: MachineReading, wall_ms: int) -> list[Outcome]:
        """A reading came. Actions that it settles are returned."""
        now_ms = reading.at_ms
        self._returned(now_ms)
        self.reading, self.reading_wall_ms = reading, wall_ms
        self.temperature_c = reading.temperature_c if reading.temperature_c is not None else self.temperature_c
        self.pool_url = reading.pool_url or self.pool_url
        on = is_on(self.model, reading)
        if self._on is not None and on != self._on and self.pending is None:
            self.changed_ms = now_ms
        self.starts += on and self._on is False
        self._on = on
        ended = self._judge_pending(reading, wall_ms)
        if self.pending is None and not self.sending:
            self._look_for_drift(reading)
            self._look_for_oddities(reading, on, wall_ms)
        if self._regulate_again_ms is not None and now_ms >= self._regulate_again_ms:
            self._regulate_again_ms = None
            self.regulation, self._ignored = "steps", PROOFS_TO_NAME - 1
        self._settle_state(now_ms)
        return ended

    def missed(self, error: str, nonsense: bool, now_ms: int) -> list[Outcome]:
        """A reading did not come."""
        self._misses += 1
        if nonsense:
            self.conditions.show("talks_nonsense", error, now_ms)
        if self._misses < MISSES_TO_LEAVE:
            return []
        if not self.unreachable:
            self.unreachable = True
            self._left.append(now_ms)
        self.conditions.show("unreachable", f"{error}; last answer {_ago(self.reading, now_ms)}", now_ms)
        recent = [left for left in self._left if now_ms - left < DAY_MS]
        if len(recent) >= DROPS_TO_NAME:
            self.conditions.show("drops_out", f"left {len(recent)} times within a day, the last time: {error}", now_ms)
        ended = self.supersede("it left the network")
        self._settle_state(now_ms)
        return ended

    def fresh(self, wall_ms: int, stale_ms: int) -> bool:
        """Whether its last reading is young enough to be believed."""
        return self.reading_wall_ms is not None and not self.unreachable and wall_ms - self.reading_wall_ms <= stale_ms

    def no_shares(self, seconds: int, now_ms: int) -> None:
        """The pool has had no share of it for so long, though it hashes."""
        self.conditions.show("hash_without_shares", f"no accepted share for {seconds} s of wall time", now_ms)

    # --- what is kept over a restart ----------------------------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """What was learnt, as JSON."""
        return {
            "regulation": self.regulation,
            "fixed_power_w": self.fixed_power_w,
            "starts": self.starts,
            "changed_ms": self.changed_ms,
            "next_try_ms": self._next_try_ms if self.regulation == "none" else 0,
            "regulate_again_ms": self._regulate_again_ms,
            "conditions": [
                [condition.id, condition.evidence, condition.since_ms]
                for condition in self.conditions.all()
                if condition.id in ("ignores_power_limit", "says_ok_does_nothing")
            ],
        }

    def remember(self, memory: dict[str, Any]) -> None:
        """Take up what an earlier life's :meth:`memory` gave."""
        self.regulation, self.fixed_power_w = memory["regulation"], memory["fixed_power_w"]
        self.starts, self.changed_ms = int(memory["starts"]), memory["changed_ms"]
        self._next_try_ms, self._regulate_again_ms = int(memory["next_try_ms"]), memory["regulate_again_ms"]
        for kind, evidence, since_ms in memory["conditions"]:
            self.conditions.show(kind, evidence, since_ms)

    # --- inside -------------------------------------------------------------------------------------------------

    def _judge_pending(self, reading: MachineReading, wall_ms: int) -> list[Outcome]:
        pending = self.pending
        if pending is None or reading.at_ms <= pending.sent_ms:
            return []  # asked before the command was answered
        target = pending.command.watts
        if self.regulation == "on_off" and target:
            target = self.fixed_power_w or target
        exact = pending.command.exact
        verdict = judge(self.model, target, reading) if exact else judge_awake(self.model, reading)
        after_s = (reading.at_ms - pending.sent_ms) // 1000
        if verdict.met:
            self.pending = None
            self._obeyed(pending)
            return [Outcome(pending.action, "done", pending.answer, f"{verdict.text}, after {after_s} s", True)]
        late = reading.at_ms - pending.sent_ms >= pending.allowed_ms
        if not late or wall_ms - pending.sent_wall_ms < self._floor_wall_ms:
            return []
        self.pending = None
        evidence = f"told '{pending.command.text}', answered '{pending.answer}'; {after_s} s later it {verdict.text}"
        self._disobeyed(pending, reading, verdict.power_met, evidence)
        return [Outcome(pending.action, "unverified", pending.answer, f"{verdict.text}, after {after_s} s", False)]

    def _obeyed(self, pending: Pending) -> None:
        self._tries = self._next_try_ms = 0
        self.conditions.clear("refuses_commands", "not_verified", "does_not_wake")
        if pending.command.kind != "set_power" or self.regulation == "none":
            self._deaf = self._retests = 0
            self.conditions.clear("says_ok_does_nothing")
            if self.regulation == "none":
                self.regulation = "steps"
        if self.regulation == "steps" and pending.command.watts:
            self._ignored = 0
            self.conditions.clear("ignores_power_limit")

    def _disobeyed(self, pending: Pending, reading: MachineReading, power_met: bool | None, evidence: str) -> None:
        now_ms, on, kind = reading.at_ms, is_on(self.model, reading), pending.command.kind
        self._failed(now_ms)
        if self.regulation == "none":
            self._give_up(reading, evidence)
        elif kind == "sleep" and on:
            self._deaf += 1
            if self._deaf >= PROOFS_TO_NAME:
                self._give_up(reading, evidence)
        elif kind == "wake" and not on:
            if self._tries >= PROOFS_TO_NAME:
                self.conditions.show("does_not_wake", evidence, now_ms)
        elif on and power_met is False:
            self._ignored += 1
            if self._ignored >= PROOFS_TO_NAME and self.regulation == "steps":
                self.regulation, self.fixed_power_w = "on_off", reading.power_w
                self._regulate_again_ms = now_ms + DAY_MS
                self._tries = self._next_try_ms = 0
                self.conditions.show("ignores_power_limit", evidence, now_ms)
        if self._tries >= PROOFS_TO_NAME and not self.conditions.all():
            self.conditions.show("not_verified", evidence, now_ms)

    def _give_up(self, reading: MachineReading, evidence: str) -> None:
        self.regulation, self.fixed_power_w, self._regulate_again_ms = "none", reading.power_w, None
        self.conditions.clear("ignores_power_limit", "not_verified")
        self.conditions.show("says_ok_does_nothing", evidence, reading.at_ms)
        self._next_try_ms = reading.at_ms + min(FIRST_RETEST_MS << self._retests, LONGEST_RETEST_MS)
        self._retests = min(self._retests + 1, 8)

    def _failed(self, now_ms: int) -> None:
        self._tried_ms = now_ms
        self._next_try_ms = now_ms + min(FIRST_PATIENCE_MS << min(self._tries, 8), LONGEST_PATIENCE_MS)
        self._tries += 1

    def _returned(self, now_ms: int) -> None:
        if self.unreachable:
            self.unreachable = False
            self.commanded_w = None  # it may have started anew, with settings of its own
            self._tries = 0
            if self.regulation != "none":
                self._next_try_ms = 0
        self._misses = 0
        self.conditions.clear("unreachable", "talks_nonsense")
        if "drops_out" in self.conditions and (not self._left or now_ms - self._left[-1] >= DAY_MS):
            self.conditions.clear("drops_out")

    def _look_for_drift(self, reading: MachineReading) -> None:
        if self.regulation == "none":
            self.fixed_power_w = reading.power_w if reading.power_w is not None else self.fixed_power_w
        if self.regulation == "steps" and self.commanded_w and self.commanded_w == self.goal_w(reading.at_ms):
            verdict = judge(self.model, self.commanded_w, reading)
            self._drifts = self._drifts + 1 if verdict.power_met is False else 0
            if verdict.met:
                self.conditions.clear("not_verified")
                if self.fixed_power_w and judge(self.model, self.fixed_power_w, reading).power_met is False:
                    self.conditions.clear("ignores_power_limit")
                    self._ignored = 0

    def _look_for_oddities(self, reading: MachineReading, on: bool, wall_ms: int) -> None:
        power, hash_rate = reading.power_w, reading.hash_rate_hs
        dark = on and power is not None and power <= off_below_w(self.model)
        self._odd_power = self._odd_power + 1 if dark else 0
        if self._odd_power >= ODD_READINGS_TO_NAME:
            evidence = f"it {describe(reading)}, {self._odd_power} times in a row"
            self.conditions.show("hash_without_power", evidence, reading.at_ms)
        elif not dark:
            self.conditions.clear("hash_without_power")
        if not on or hash_rate is None or hash_rate >= self.model.hash_rate_hs // 20:
            if on and hash_rate:
                self.conditions.clear("power_without_hash")
                self._rests = 0
            self._odd_hash_wall_ms = wall_ms
        elif self._odd_hash_wall_ms is None:
            self._odd_hash_wall_ms = wall_ms
        elif wall_ms - self._odd_hash_wall_ms >= HASHLESS_WALL_MS and self._rest_until_ms <= reading.at_ms:
            seconds = (wall_ms - self._odd_hash_wall_ms) // 1000
            self.conditions.show("power_without_hash", f"it {describe(reading)} for {seconds} s", reading.at_ms)
            self._rest_until_ms = reading.at_ms + min(FIRST_REST_MS << self._rests, LONGEST_RETEST_MS)
            self._rests = min(self._rests + 1, 8)

    def _settle_state(self, now_ms: int) -> None:
        state: State
        if self.unreachable:
            state = "unreachable"
        elif self.reading is None:
            state = "unknown"
        elif self.pending is not None and self.pending.command.kind != "set_power":
            state = "stopping" if self.pending.command.kind == "sleep" else "starting"
        elif self._faulty():
            state = "faulty"
        else:
            state = "running" if self._on else "sleeping"
        if state != self.state:
            self.state, self.state_since_ms = state, now_ms

    def _faulty(self) -> bool:
        """Awake though it shall sleep and obeys nothing, or told to mine and of no use."""
        if self.regulation == "none" and self._on and not self.desired_w:
            return True
        return "power_without_hash" in self.conditions or "does_not_wake" in self.conditions


def _ago(reading: MachineReading | None, now_ms: int) -> str:
    return "never" if reading is None else f"{(now_ms - reading.at_ms) // 1000} s ago"
