"""The energy of one site in operation: its meters looked at, its market asked, and what everything shall draw decided."""

import asyncio
import contextlib

from photosynth.miners.control import MinerControl
from photosynth.sites.configuration import dispatch_policy, meter_specs
from photosynth.sites.controller import Controller
from photosynth.sites.site import OperatedSite

PATIENCE_S = 10.0
"""How long the first decision waits for the pool: machines that run are not sent to sleep for the moment that it opens."""


class Energy:
    """The decisions of one site over the machines that are under control."""

    def __init__(self, site: OperatedSite, control: MinerControl) -> None:
        self._site = site
        declared, settings = site.declared, site.settings
        self.controller = Controller(
            site.name,
            specs=meter_specs(declared),
            meters=site.meters,
            sources=site.meters,
            market=settings.market,
            coin_market=settings.coin_market,
            control=control,
            parties={spec.id: spec.party for spec in declared.machine_specs()},
            policy=lambda: dispatch_policy(declared, stopped=site.stop.stopped),
            audit=site.audit,
            clock=site.clock,
            notes=site.notes,
            why_no_work=lambda: site.work.why_none,
            speed_milli=site.clock.time.speed_milli,
        )

    async def run(self) -> None:
        """Decide until cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._site.work.there()
        await self.controller.run()

    async def close(self) -> None:
        """Nothing is held: the meters are the field's, the machines another's."""
