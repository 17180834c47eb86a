"""Reading back: whether what a machine shows is what it was told, in power and in hash rate."""

from dataclasses import dataclass
from typing import Literal, Protocol

from photosynth.miners.machine import MachineReading
from photosynth.miners.model import MachineModel

CommandKind = Literal["sleep", "wake", "set_power"]

POWER_TOLERANCE_PERCENT = 6
"""Units of a model differ by some 2 %, their wattmeters by about 1 %; profiles lie about 10 % apart."""
POWER_TOLERANCE_W = 60
HASH_TOLERANCE_PERCENT = 15
"""A hash rate over seconds flutters, and the curve from watts to hashes is a model's, not a unit's."""
MARGIN_S = 30
MARGIN_PERCENT = 25
"""How much longer than its model's ramp a machine may take before it counts as not obeying."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a reading shows what was wanted, in power and in hash rate (None: it does not say), and in words."""

    power_met: bool | None
    hash_met: bool | None
    text: str

    @property
    def met(self) -> bool:
        """Both hold where both are said, and at least one is said."""
        return self.power_met is not False and self.hash_met is not False and (self.power_met or self.hash_met) is True


def off_below_w(model: MachineModel) -> int:
    """Watts up to which a machine counts as asleep: thrice its standby or a twenty-fifth of its nameplate."""
    return max(3 * model.standby_w, model.power_w // 25)


class Seen(Protocol):
    """What was read of a machine, None where it does not say or the reading is old."""

    @property
    def power_w(self) -> int | None:
        """What it draws."""
        ...

    @property
    def hash_rate_hs(self) -> int | None:
        """What it says it hashes."""
        ...


def is_on(model: MachineModel, reading: Seen) -> bool:
    """Whether it draws mining power, or says that it hashes."""
    if reading.power_w is not None and reading.power_w > off_below_w(model):
        return True
    return (reading.hash_rate_hs or 0) > model.hash_rate_hs // 10


def tells_nothing(reading: Seen) -> bool:
    """Whether neither its power nor its hash rate is known: then nobody knows whether it runs or sleeps."""
    return reading.power_w is None and reading.hash_rate_hs is None


def judge(model: MachineModel, target_w: int, reading: MachineReading) -> Verdict:
    """Compare a reading with a target power; zero is asleep."""
    power, hash_rate = reading.power_w, reading.hash_rate_hs
    if target_w == 0:
        power_met = None if power is None else power <= off_below_w(model)
        hash_met = None if hash_rate is None else hash_rate <= model.hash_rate_hs // 100
        return Verdict(power_met, hash_met, describe(reading) + ", wanted: asleep")
    allowed_w = max(POWER_TOLERANCE_W, target_w * POWER_TOLERANCE_PERCENT // 100)
    expected_hs = model.hash_rate_at(target_w)
    allowed_hs = expected_hs * HASH_TOLERANCE_PERCENT // 100
    power_met = None if power is None else abs(power - target_w) <= allowed_w
    hash_met = None if hash_rate is None else abs(hash_rate - expected_hs) <= allowed_hs
    wanted = f", wanted: {target_w} W and {terahashes(expected_hs)}"
    return Verdict(power_met, hash_met, describe(reading) + wanted)


def judge_awake(model: MachineModel, reading: MachineReading) -> Verdict:
    """Whether it mines, at whatever profile."""
    power_met = None if reading.power_w is None else reading.power_w > off_below_w(model)
    hash_met = None if reading.hash_rate_hs is None else reading.hash_rate_hs > model.hash_rate_hs // 20
    return Verdict(power_met, hash_met, describe(reading) + ", wanted: mining")


def describe(reading: MachineReading) -> str:
    """A reading in words."""
    power = "no power reading" if reading.power_w is None else f"{reading.power_w} W"
    return f"reads {power} and {terahashes(reading.hash_rate_hs)}"


def terahashes(hash_rate_hs: int | None) -> str:
    """A hash rate in words."""
    return "no hash rate" if hash_rate_hs is None else f"{hash_rate_hs / 1e12:.1f} TH/s"


def allowed_ms(model: MachineModel, kind: CommandKind, rising: bool) -> int:
    """Site time that a command may take until it shows: the model's ramp, and a margin."""
    ramp_s = model.ramp_up_s if kind == "wake" or (kind == "set_power" and rising) else model.ramp_down_s
    return ramp_s * (1000 + 10 * MARGIN_PERCENT) + MARGIN_S * 1000
