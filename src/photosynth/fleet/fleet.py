"""A whole fleet file as one value, and what the rest of the system asks of it."""

from datetime import UTC
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, model_validator

from photosynth.fleet.bitcoin import Bitcoin, Console, Pool
from photosynth.fleet.machines import Machines, MachineSpec, specs
from photosynth.fleet.market import Market
from photosynth.fleet.model import Grid, Load, Meter, Part, Party, Simulation, Site, Source
from photosynth.fleet.units import Seconds, mistake

LONGEST_METER_GRACE_S = 7 * 86_400
"""Nothing after a quarter hour that waits is closed either, and what is open is held in memory."""


class LedgerPolicy(Part):
    """How the books are kept.

    An hour of ``meter_grace`` is time for a device to start again or for somebody to get to it; what it latched is then exact.
    """

    currency: Literal["EUR"]
    """The currency of every value."""
    recognise_mining_revenue: Literal["at_maturity", "at_accrual"]
    """Whether a coinbase is revenue when it can be spent, 100 blocks later, or when it is found."""
    meter_grace_s: Seconds = 3600
    """Time of the wall for which a quarter hour that is over waits for a silent meter. Then it is closed with it unknown."""

    @model_validator(mode="after")
    def _grace_ends(self) -> "LedgerPolicy":
        if self.meter_grace_s > LONGEST_METER_GRACE_S:
            raise mistake(
                "quarter hours would wait for a meter for more than a week", "Write at most 7 d, like 1 h", "meter_grace"
            )
        return self


class Fleet(Part):
    """Everything that is declared about a site.

    Made by :func:`photosynth.fleet.load_fleet`.
    """

    version: Literal[1]
    """Version of this format."""
    site: Site
    """The place."""
    parties: Annotated[tuple[Party, ...], Field(min_length=1, max_length=100)]
    """The legal persons that own something here."""
    simulation: Simulation
    """What stands in for the physical world."""
    grid: Grid
    """The connection to the public grid."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=100)]
    """What generates behind the connection."""
    loads: Annotated[tuple[Load, ...], Field(max_length=100)] = ()
    """What comes before mining."""
    meters: Annotated[tuple[Meter, ...], Field(max_length=100)]
    """One meter of each role."""
    market: Market
    """Prices."""
    bitcoin: Bitcoin
    """The node and the payout."""
    pool: Pool
    """The Stratum server."""
    machines: Machines
    """Models, groups, habits."""
    ledger: LedgerPolicy
    """How the books are kept."""
    console: Console
    """The pages and the API."""

    @cached_property
    def _specs(self) -> tuple[MachineSpec, ...]:
        return specs(self.machines)

    def machine_specs(self) -> tuple[MachineSpec, ...]:
        """Every machine in the file's order: hall-a-01, hall-a-02 and so on."""
        return self._specs

    def party_of_worker(self) -> dict[str, str]:
        """Which party each declared worker belongs to; a guest's name is not among them."""
        return {spec.worker: spec.party for spec in self._specs}

    def start_site_ms(self) -> int:
        """Site time at which a fresh site starts, in milliseconds since the epoch (UTC)."""
        return int(self.simulation.start.replace(tzinfo=self.site.zone).astimezone(UTC).timestamp()) * 1000

    def real_parts(self) -> tuple[str, ...]:
        """The machines that are real; where there are any, the site runs at speed 1."""
        return tuple(spec.id for spec in self._specs if spec.address is not None)

    def represented_hash_rate_hs(self) -> int:
        """What the simulated machines stand for together at full power, in hashes per second."""
        return sum(spec.model.hash_rate_hs for spec in self._specs if spec.address is None)

    def scale(self, speed_milli: int = 1000) -> int:
        """How many hashes one real hash of a simulated machine stands for, at a speed in thousandths; at least one.

        Hashing stays on the real clock while site time runs ``speed_milli / 1000`` times faster, so each hash stands for
        so many times more.
        """
        return max(1, self.represented_hash_rate_hs() * speed_milli // (self.simulation.hash_rate_hs * 1000))

    def scale_of_worker(self, speed_milli: int = 1000) -> dict[str, int]:
        """The scale of each declared worker; a real machine's is 1, and so is a guest's, who is not among them."""
        scale = self.scale(speed_milli)
        return {spec.worker: 1 if spec.address is not None else scale for spec in self._specs}
