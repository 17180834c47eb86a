"""One machine under control, sans-I/O: what it shall do, what it shows, what must be sent next, and what is wrong.

The rules that keep a fleet calm live here. A command is judged by readings alone and only after the model's ramp; while
it is under way no other is sent, except sleep. What does not obey is tried again with growing patience, is named, and is
worked around (:mod:`photosynth.miners.obedience`).
"""

from dataclasses import replace
from typing import Any, Literal

from photosynth.actions import Action, Result
from photosynth.miners.commands import Command, Outcome, Pending, Told
from photosynth.miners.conditions import Conditions
from photosynth.miners.machine import Answer, MachineReading
from photosynth.miners.memory import Memory
from photosynth.miners.model import MachineModel
from photosynth.miners.obedience import PROOFS_TO_NAME, Obedience, Regulation
from photosynth.miners.oddities import Oddities
from photosynth.miners.patience import FIRST_PATIENCE_MS, patience_ms
from photosynth.miners.presence import Miss, Presence
from photosynth.miners.restlessness import Restlessness
from photosynth.miners.verification import allowed_ms, describe, is_on, judge, judge_awake, tells_nothing
from photosynth.quantities.instants import iso_utc

State = Literal["running", "starting", "stopping", "sleeping", "unreachable", "faulty", "unknown"]

DRIFTS_TO_RESEND = 2


class Unit:
    """One machine's control state. ``floor_wall_ms`` is the least wall time between a command and its judgement.

    ``takes_power`` is whether its driver can tell it a power; where not, it is switched only.
    """

    def __init__(self, machine: str, model: MachineModel, floor_wall_ms: int, *, takes_power: bool = True) -> None:
        self.id, self.model = machine, model
        self.conditions = Conditions(machine)
        self.obedience = Obedience(self.conditions, "steps" if takes_power else "on_off")
        self.oddities = Oddities(model, self.conditions)
        self.presence = Presence(self.conditions)
        self.restlessness = Restlessness(self.conditions)
        self.desired_w: int | None = None
        self.reason, self.actor = "no target yet", ""
        self.reading: MachineReading | None = None
        self.reading_wall_ms: int | None = None
        self.temperature_c: int | None = None
        self.pool_url: str | None = None
        self.pending: Pending | None = None
        self.sending: Command | None = None
        self.told: Told | None = None
        self.starts = 0
        self.changed_ms: int | None = None
        self.state: State = "unknown"
        self.state_since_ms: int | None = None
        self._set_w: int | None = None
        self._on: bool | None = None
        self._insisted = False
        self._floor_wall_ms = floor_wall_ms
        self._tries = self._drifts = 0
        self._next_try_ms = self._tried_ms = 0
        self._faults: dict[str, str] = {}

    @property
    def regulation(self) -> Regulation:
        """In how far it obeys, as reading back proved."""
        return self.obedience.regulation

    @property
    def unreachable(self) -> bool:
        """Whether it does not answer."""
        return self.presence.unreachable

    @property
    def fixed_power_w(self) -> int | None:
        """What it draws where it cannot be regulated."""
        return self.obedience.fixed_power_w

    # --- what it shall do ---------------------------------------------------------------------------------------

    def wish(self, watts: int, reason: str, actor: str) -> None:
        """What it shall draw from now on; zero is asleep."""
        if watts != self.desired_w:
            self.desired_w = watts
            self._drifts = 0
        self._insisted = self._insisted and watts == 0
        self.reason, self.actor = reason, actor

    def insist(self) -> None:
        """Forget patience, and whether it answers: if it shall sleep, it is told so once more at once."""
        self._next_try_ms = 0
        self._insisted = True

    def goal_w(self, now_ms: int) -> int | None:
        """The wish as this machine can meet it; a machine that rests has to sleep."""
        if not self.desired_w:
            return self.desired_w
        if now_ms < self.oddities.rest_until_ms:
            return 0
        if self.regulation != "on_off":
            return min(self.desired_w, self.model.power_w)
        return self.fixed_power_w or self.model.power_w

    def reason_at(self, now_ms: int) -> str:
        """Why it shall be as :meth:`goal_w` says: its wish's reason, unless it has to rest."""
        if self.desired_w and now_ms < self.oddities.rest_until_ms:
            return f"Rests until {iso_utc(self.oddities.rest_until_ms)}: it drew power without hashing."
        return self.reason

    def usable(self, now_ms: int) -> bool:
        """Whether it can be counted on to take an order now."""
        waiting = "does_not_wake" in self.conditions and now_ms < self._next_try_ms
        waiting |= now_ms < self.restlessness.wait_until_ms
        return self.regulation != "none" and not waiting and now_ms >= self.oddities.rest_until_ms

    def due(self, now_ms: int) -> Command | None:
        """What to send now, or nothing. Sleep may be due while another command is under way, which it ends."""
        goal = self.goal_w(now_ms)
        if goal is None:
            return None
        if goal == 0:
            return self._due_down(now_ms)
        if self.sending is not None or self.pending is not None or self.unreachable or self.reading is None:
            return None
        if now_ms < max(self._next_try_ms, self.obedience.next_test_ms if self.regulation == "none" else 0):
            return None
        exact = self.obedience.best == "steps"  # what cannot be told a power is only asked to run
        if not is_on(self.model, self.reading):
            return Command("wake", goal, exact) if now_ms >= self.restlessness.wait_until_ms else None
        there = judge(self.model, goal, self.reading).power_met is not False
        if self.regulation != "steps":  # a fixed load gets its rare test, here by a power
            told = self.regulation == "none" and exact and not there
            return Command("set_power", goal) if told else None
        if self._set_w is None and there:
            self._set_w = goal  # whoever sent it there
        if self._set_w != goal or self._drifts >= DRIFTS_TO_RESEND:
            return Command("set_power", goal)
        return None

    def _due_down(self, now_ms: int) -> Command | None:
        """What to send to a machine that shall sleep."""
        sleep = Command("sleep", 0)
        if self.sending is not None:
            return None if self._is_down(self.sending) else sleep
        if self.pending is not None and self._is_down(self.pending.command):
            return None
        on = self.pending is not None or (self.reading is not None and is_on(self.model, self.reading))
        blind = self.reading is not None and tells_nothing(self.reading)
        if self._insisted and (on or blind or self.unreachable or self.reading is None or self.presence.misses):
            return sleep
        if self.unreachable or self.reading is None or not (on or blind):
            return None
        if not on:  # it tells nothing, so it may run
            return sleep if now_ms >= self._next_try_ms else None
        if now_ms < self.restlessness.wait_until_ms:
            return None
        if self.regulation != "none":
            # sleep does not wait for long, whatever failed before
            return sleep if now_ms >= min(self._next_try_ms, self._tried_ms + FIRST_PATIENCE_MS) else None
        if now_ms < self._next_try_ms:
            return None
        if now_ms >= self.obedience.next_test_ms:
            return sleep
        lowest = self._lowest()
        above = judge(self.model, lowest.watts, self.reading).power_met is False and self.lowers(lowest)
        return lowest if above and self.obedience.takes_limits else None

    def _lowest(self) -> Command:
        """What is told to a machine that cannot be switched off."""
        return Command("set_power", self.model.power_steps()[0][0])

    def _is_down(self, command: Command) -> bool:
        """Whether a command that is under way is what a machine that shall sleep is to be told now."""
        lowest = self.regulation == "none" and not self._insisted and command == self._lowest()
        return command.kind == "sleep" or lowest

    def lowers(self, command: Command) -> bool:
        """Whether a command takes power away: it then waits for nothing."""
        power_w = None if self.reading is None or self.unreachable else self.reading.power_w
        return command.kind == "sleep" or (command.kind == "set_power" and power_w is not None and command.watts < power_w)

    # --- what was sent ------------------------------------------------------------------------------------------

    def begin(self, command: Command) -> None:
        """It goes out now."""
        self.sending = command
        self._insisted = self._insisted and command.kind != "sleep"

    def sent(self, command: Command, action: Action, answer: Answer, now_ms: int, wall_ms: int) -> list[Outcome]:
        """The machine answered. What is settled by that: an action that it refused, and one that this one replaced."""
        self.works(command.kind)
        ended = self.supersede(f"replaced by {command.text}") if self.pending is not None else []
        if not answer.accepted:
            self._failed(now_ms)
            self.told = Told(command.watts, now_ms, "refused", f"it said: {answer.text}")
            if self._tries >= PROOFS_TO_NAME:
                self.conditions.show("refuses_commands", f"to '{command.text}' it said: {answer.text}", now_ms)
            return [*ended, Outcome(action, "refused", answer.text, "", None)]
        before, self._drifts = self.reading, 0
        rising = before is None or (before.power_w or 0) < command.watts
        allowed = allowed_ms(self.model, command.kind, rising)
        self.pending = Pending(command, action, now_ms, wall_ms, allowed, before, answer.text)
        self.told = Told(command.watts, now_ms, "planned", f"it answered '{answer.text}'")
        self._set_w = command.watts if command.exact else None
        if command.kind != "set_power":
            self.changed_ms = now_ms
        self._settle_state(now_ms)
        return ended

    def not_sent(self, command: Command, action: Action, error: str, now_ms: int) -> list[Outcome]:
        """The command did not get through."""
        self._failed(now_ms)
        self.told = Told(command.watts, now_ms, "failed", error)
        return [Outcome(action, "failed", error, "", None)]

    def supersede(self, text: str) -> list[Outcome]:
        """Give up waiting for the pending command's proof."""
        pending, self.pending = self.pending, None
        if pending is None:
            return []
        seen = describe(self.reading) if self.reading is not None else "no reading"
        self._came_of_it("unverified", f"{text}; {seen}")
        return [Outcome(pending.action, "unverified", pending.answer, f"{text}; {seen}", None)]

    # --- what it shows ------------------------------------------------------------------------------------------

    def observe(self, reading: MachineReading, wall_ms: int) -> list[Outcome]:
        """A reading came, asked for at a wall time. Actions that it settles are returned."""
        now_ms = reading.at_ms
        self.works("read")
        returned = self._returned(now_ms)
        self.reading, self.reading_wall_ms = reading, wall_ms
        self.temperature_c = reading.temperature_c if reading.temperature_c is not None else self.temperature_c
        self.pool_url = reading.pool_url or self.pool_url
        on = is_on(self.model, reading)
        if not tells_nothing(reading):
            moved = self._on is not None and on != self._on and self.pending is None
            if moved:
                self.changed_ms = now_ms
            if (goal := self.goal_w(now_ms)) is not None:
                alone = moved and self.sending is None and not returned
                self.restlessness.look(reading, as_told=on == (goal > 0), moved=alone)
            self.starts += on and self._on is False
            self._on = on
        ended = self._judge_pending(reading, wall_ms)
        if self.pending is None and self.sending is None:
            self.obedience.look(now_ms, reading.power_w)
            self._look_for_drift(reading)
            self.oddities.look(reading, on, wall_ms)
            if judge(self.model, 0, reading).met:
                self.obedience.obeyed_off()  # whoever sent it to sleep
                if not self.desired_w:
                    self.conditions.clear("not_verified")
        self._settle_state(now_ms)
        return ended

    def missed(self, error: str, why: Miss, now_ms: int, call: str = "read") -> list[Outcome]:
        """A reading, or the answer to another call, did not come."""
        if why == "driver_fault":
            self.fault(call, error, now_ms)
        if not self.presence.miss(error, why, None if self.reading is None else self.reading.at_ms, now_ms):
            return []
        ended = self.supersede("it does not answer any more")
        self._settle_state(now_ms)
        return ended

    def fault(self, call: str, error: str, now_ms: int) -> None:
        """One of its driver's calls, or our own judgement of it, failed as none may."""
        self._faults[call] = error
        self.conditions.show("driver_fault", "; ".join(self._faults.values()), now_ms)

    def works(self, call: str) -> None:
        """One of those calls came to a sound end."""
        if self._faults and self._faults.pop(call, None) is not None and not self._faults:
            self.conditions.clear("driver_fault")

    def fresh(self, wall_ms: int, stale_ms: int) -> bool:
        """Whether its last reading is young enough to be believed."""
        return self.reading_wall_ms is not None and not self.unreachable and abs(wall_ms - self.reading_wall_ms) <= stale_ms

    def asleep_since(self, began_ms: int) -> bool:
        """Whether a reading since a site time proves that it sleeps, and nothing is on its way to it."""
        quiet = not self.unreachable and self.pending is None and self.sending is None
        reading = self.reading
        return quiet and reading is not None and reading.at_ms >= began_ms and judge(self.model, 0, reading).met

    def no_shares(self, seconds: int, now_ms: int) -> None:
        """The pool has had no share of it for so long, though it hashes."""
        self.conditions.show("hash_without_shares", f"no accepted share for {seconds} s of wall time", now_ms)

    # --- what is kept over a restart ----------------------------------------------------------------------------

    def memory(self) -> dict[str, Any]:
        """What was learnt, as JSON."""
        return Memory(self.obedience.memory(), self.told, self.starts, self.changed_ms).document()

    def remember(self, document: object, now_ms: int) -> None:
        """Take up what an earlier life's :meth:`memory` gave. Raises ValueError where it is none; nothing is taken then."""
        memory = Memory.of(document)
        self.obedience.remember(memory.obedience, now_ms)
        self.starts, self.changed_ms, self.told = memory.starts, memory.changed_ms, memory.told
        if self.told is not None and self.told.result == "planned":
            self._came_of_it("unverified", "the system stopped before its proof came")

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
        seen = f"{verdict.text}, after {after_s} s"
        if verdict.met:
            self.pending = None
            self._came_of_it("done", seen)
            self._obeyed(pending.command)
            return [Outcome(pending.action, "done", pending.answer, seen, True)]
        late = reading.at_ms - pending.sent_ms >= pending.allowed_ms
        if not late or wall_ms - pending.sent_wall_ms < self._floor_wall_ms:
            return []
        self.pending = None
        evidence = f"told '{pending.command.text}', answered '{pending.answer}'; {after_s} s later it {verdict.text}"
        self._came_of_it("unverified", evidence)
        self._disobeyed(pending.command, reading, verdict.power_met, evidence)
        return [Outcome(pending.action, "unverified", pending.answer, seen, False)]

    def _came_of_it(self, result: Result, text: str) -> None:
        if self.told is not None:
            self.told = replace(self.told, result=result, text=text)

    def _obeyed(self, command: Command) -> None:
        self._tries = self._next_try_ms = 0
        self.conditions.clear("refuses_commands", "not_verified", "does_not_wake")
        if command.kind == "sleep":
            self.obedience.obeyed_off()
        elif command.exact:
            self.obedience.obeyed_limit(wanted_on=bool(self.desired_w))

    def _disobeyed(self, command: Command, reading: MachineReading, power_met: bool | None, evidence: str) -> None:
        now_ms, on, kind = reading.at_ms, is_on(self.model, reading), command.kind
        self._failed(now_ms)
        if kind == "sleep" and on:
            self.obedience.ignored_off(now_ms, reading.power_w, evidence)
        elif kind == "wake" and not on:
            if self._tries >= PROOFS_TO_NAME:
                self.conditions.show("does_not_wake", evidence, now_ms)
        elif on and power_met is False:
            switched = self.regulation
            self.obedience.ignored_limit(now_ms, reading.power_w, evidence)
            if self.regulation != switched:
                self._tries = self._next_try_ms = 0
        if self._tries >= PROOFS_TO_NAME and not self.conditions.all():
            self.conditions.show("not_verified", evidence, now_ms)

    def _failed(self, now_ms: int) -> None:
        self._tried_ms = now_ms
        self._next_try_ms = now_ms + patience_ms(self._tries)
        self._tries += 1

    def _returned(self, now_ms: int) -> bool:
        returned = self.presence.answer(now_ms)
        if returned:
            self._set_w = None  # it may have started anew, with settings of its own
            self._tries = self._next_try_ms = 0
        return returned

    def _look_for_drift(self, reading: MachineReading) -> None:
        if self.regulation != "steps" or not self._set_w or self._set_w != self.goal_w(reading.at_ms):
            return
        verdict = judge(self.model, self._set_w, reading)
        self._drifts = self._drifts + 1 if verdict.power_met is False else 0
        if verdict.met:
            self.conditions.clear("not_verified")
            if self.fixed_power_w and judge(self.model, self.fixed_power_w, reading).power_met is False:
                self.obedience.obeyed_limit(wanted_on=True)

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
        elif tells_nothing(self.reading):
            state = "unknown"
        else:
            state = "running" if self._on else "sleeping"
        if state != self.state:
            self.state, self.state_since_ms = state, now_ms

    def _faulty(self) -> bool:
        """Awake though it shall sleep and obeys nothing, or told to mine and of no use."""
        if self.regulation == "none" and self._on and not self.desired_w:
            return True
        return "power_without_hash" in self.conditions or "does_not_wake" in self.conditions
