"""What a model of machine can do: nameplate, the curve from watts to hashes, discrete profiles."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MachineModel:
    """One model of machine by its nameplate; powers in watts at the plug, times in seconds of site time.

    Raises ValueError where the figures contradict each other.
    """

    id: str
    name: str
    hash_rate_hs: int
    power_w: int
    min_power_w: int
    profiles: int
    min_on_s: int
    min_off_s: int
    ramp_up_s: int
    ramp_down_s: int
    standby_w: int
    start_cost_ueur: int = 0

    def __post_init__(self) -> None:
        if self.hash_rate_hs < 1 or self.profiles < 1:
            raise ValueError(f"model {self.id}: hash rate and profiles are at least 1")
        if not 0 <= self.standby_w < self.min_power_w <= self.power_w:
            raise ValueError(f"model {self.id}: needs 0 <= standby < min_power <= power")
        if min(self.min_on_s, self.min_off_s, self.ramp_up_s, self.ramp_down_s, self.start_cost_ueur) < 0:
            raise ValueError(f"model {self.id}: times and costs are not negative")

    def hash_rate_at(self, power_w: int) -> int:
        """Hashes per second at a power (W) up to the nameplate: H x p (3 - p) / 2 with p = power / nameplate.

        The parabola through 0, five eighths of the hash rate at half the power, and the nameplate: chips do more per
        joule at a lower voltage. Real curves differ by chip and cooling; a machine's own readings overrule it.
        Above the nameplate the nameplate's hash rate is given, below zero nothing.
        """
        power_w = min(max(power_w, 0), self.power_w)
        return self.hash_rate_hs * power_w * (3 * self.power_w - power_w) // (2 * self.power_w * self.power_w)

    def power_steps(self) -> tuple[tuple[int, int], ...]:
        """The profiles as (watts, hashes per second), evenly spaced from the least power to the nameplate, rising."""
        if self.profiles == 1 or self.min_power_w == self.power_w:
            return ((self.power_w, self.hash_rate_hs),)
        span, last = self.power_w - self.min_power_w, self.profiles - 1
        powers = [self.min_power_w + span * index // last for index in range(self.profiles)]
        return tuple((power, self.hash_rate_at(power)) for power in powers)
