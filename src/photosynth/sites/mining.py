"""The mining of one site in operation: its pool, on a node, with its share log."""

import structlog

from photosynth.bitcoin.node import BitcoinNode
from photosynth.pool.server import Pool
from photosynth.sites.configuration import Pace, pool_config
from photosynth.sites.reward import Reward
from photosynth.sites.site import OperatedSite

log = structlog.get_logger()

CLOSED = "the site's pool does not run"


class Mining:
    """A pool that serves; made by :func:`open_mining`."""

    def __init__(self, site: OperatedSite, pool: Pool) -> None:
        self._site, self.pool = site, pool
        self._end_listening = site.heads.listen(pool.refresh)
        site.work.begins(pool.found)

    async def run(self) -> None:
        """Watch it. Raises what ends it by a mistake of the program."""
        await self.pool.ended()

    async def close(self) -> None:
        """Cut everybody off; the share log stays open."""
        self._site.work.ends(CLOSED)
        self._end_listening()
        await self.pool.close()


async def open_mining(site: OperatedSite, node: BitcoinNode, pools: int = 1) -> Mining:
    """Look for blocks that a crash left unclaimed, and serve, as one of so many pools. Raises NodeUnavailableError, OSError."""
    mining, limits = site.mining, site.declared.pool.limits
    speed_milli = site.clock.time.speed_milli
    scales = site.declared.scale_of_worker(speed_milli)
    quote = site.quote if mining.node.demonstration is not None else None
    policy = Reward(mining.wallet.output_script(), quote, lambda: site.heads.root)
    config = pool_config(mining, Pace(speed_milli), pools)
    if "connections" in limits.model_fields_set and config.max_connections < limits.connections:
        log.warning(
            "the system allows too few open files for the pool's connections; raise `ulimit -Hn`",
            site=site.name,
            wanted=limits.connections,
            possible=config.max_connections,
        )
    pool = Pool(config, node, site.clock, policy, lambda worker: scales.get(worker, 1), site.log, site.found)
    try:
        await pool.recover()
        await pool.start(site.settings.pool_listener.dup())  # the port stays ours while a pool begins anew
    except BaseException:
        await pool.close()
        raise
    return Mining(site, pool)
