"""Simulated registering meters: each errs within its class, shows whole steps, and latches at every quarter hour's end."""

import random
from dataclasses import dataclass, field
from typing import Any

from photosynth.energy.meters import IntervalReading, MeterSpec, Quality

PPM = 1_000_000
KEPT_INTERVALS = 200
"""Quarter hours that a meter's load profile goes back; real ones keep months."""
_TYPICAL_SHARE = 600_000
"""A meter errs by at most so much of its class (ppm of it); they leave the works better than they have to be."""
_EARLIER_STEPS = 9_000_000


@dataclass
class SimulatedMeter:
    """One meter. True energy goes in as watt-milliseconds (mJ); registers come out in joules."""

    spec: MeterSpec
    gain_ppm: int
    counted_umj: int
    """What the meter counted so far, in millionths of a millijoule, so that no energy is lost to rounding."""
    profile: dict[int, tuple[int, int, Quality]] = field(default_factory=dict)
    latched_j: int = 0
    power_w: int = 0

    @classmethod
    def new(cls, spec: MeterSpec, seed: int) -> "SimulatedMeter":
        """A meter with a history: its error and its first register come from the seed."""
        rng = random.Random(f"{seed}/meter/{spec.id}")
        most = spec.class_ppm * _TYPICAL_SHARE // PPM
        first_j = rng.randint(_EARLIER_STEPS // 10, _EARLIER_STEPS) * spec.register_step_j
        meter = cls(spec, rng.randint(-most, most), first_j * 1000 * PPM)
        meter.latched_j = meter.register_j
        return meter

    @property
    def register_j(self) -> int:
        """What the register shows: whole steps, never the fraction of one."""
        return self.counted_umj // (1000 * PPM * self.spec.register_step_j) * self.spec.register_step_j

    def count(self, energy_mj: int, span_ms: int) -> None:
        """Count true energy (millijoules, not negative) that flowed over a span."""
        self.counted_umj += energy_mj * (PPM + self.gain_ppm)
        if span_ms > 0:
            self.power_w = energy_mj * (PPM + self.gain_ppm) // (PPM * span_ms)

    def latch(self, interval_start_ms: int, quality: Quality) -> None:
        """Keep the registers of a quarter hour that ends now."""
        self.profile[interval_start_ms] = (self.latched_j, self.register_j, quality)
        self.latched_j = self.register_j
        while len(self.profile) > KEPT_INTERVALS:
            del self.profile[next(iter(self.profile))]

    def interval(self, interval_start_ms: int) -> IntervalReading | None:
        """The latched registers of a quarter hour; None where it is not kept."""
        kept = self.profile.get(interval_start_ms)
        return None if kept is None else IntervalReading(*kept)

    def state(self) -> dict[str, Any]:
        """What the meter's non-volatile memory holds."""
        profile = [[start, *values] for start, values in self.profile.items()]
        return {"gain_ppm": self.gain_ppm, "counted_umj": str(self.counted_umj), "latched_j": self.latched_j, "profile": profile}

    @classmethod
    def restored(cls, spec: MeterSpec, state: dict[str, Any]) -> "SimulatedMeter":
        """The meter after a power cut. Raises KeyError, TypeError or ValueError where the memory is garbled."""
        meter = cls(spec, int(state["gain_ppm"]), int(state["counted_umj"]))
        meter.latched_j = int(state["latched_j"])
        meter.profile = {int(start): (int(first), int(last), quality) for start, first, last, quality in state["profile"]}
        return meter
