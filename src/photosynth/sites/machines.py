"""The control of one site's machines: read again and again, told what was decided, and switched off by an operator."""

import asyncio

from photosynth.miners.control import MinerControl
from photosynth.sites.configuration import machine_model
from photosynth.sites.drivers import machines_of
from photosynth.sites.field import Field
from photosynth.sites.site import OperatedSite

POLL_S = 2.0
PENDING_POLL_S = 0.5
KEEP_EVERY_S = 1.0


class Machines:
    """The machines of a field under control, as long as it is open; a stop gets through whatever else is down."""

    def __init__(self, site: OperatedSite, field: Field) -> None:
        self._site = site
        specs = site.declared.machine_specs()
        declared = {spec.id: (spec.address.host, spec.address.port) for spec in specs if spec.address is not None}
        self.addresses = {**field.machines, **declared}
        models = {model.id: machine_model(model) for model in site.declared.machines.models}
        workers = {spec.id: spec.worker for spec in specs}
        totals = site.log.account.totals

        def shares_of(machine: str) -> int | None:
            found = totals.get(workers[machine])
            return 0 if found is None else found.accepted

        self.control = MinerControl(
            machines_of(site.declared, field.machines, site.clock.site_ms),
            {spec.id: models[spec.model.id] for spec in specs},
            site.clock,
            site.audit,
            poll_s=POLL_S,
            shares_of=shares_of,
        )
        self.control.remember(site.notes.machine_memory())
        self.control.stopped = site.stop.stopped
        site.notes.machine_memory = self.control.memory

    async def run(self) -> None:
        """Look after them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._poll(), name="poll")
            tasks.create_task(self._keep_stopped(), name="stop")

    async def close(self) -> None:
        """Tell them nothing more."""
        await self.control.close()
        memory = self.control.memory()
        self._site.notes.machine_memory = lambda: memory
        await self._site.stop.try_to_keep()

    async def _poll(self) -> None:
        """Read every machine every ``POLL_S``, and in between those whose command waits for its proof."""
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            await self.control.poll_once()
            while loop.time() < began_s + POLL_S:
                await asyncio.sleep(min(PENDING_POLL_S, max(0.05, began_s + POLL_S - loop.time())))
                await self.control.poll_once(only_pending=True)

    async def _keep_stopped(self) -> None:
        while True:
            await self._site.stop.try_to_keep()
            await asyncio.sleep(KEEP_EVERY_S)
