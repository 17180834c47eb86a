"""A whole fleet file as one value: its operator's sites, nodes and wallets, and what is the same for all of them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from photosynth.fleet.alerts import Alerts
from photosynth.fleet.node import Node
from photosynth.fleet.site import Site
from photosynth.fleet.wallet import Wallet
from photosynth.settings.part import Part
from photosynth.settings.units import Seconds, mistake
from photosynth.settings.values import Address, Id, ListenAddress, Text

LONGEST_METER_GRACE_S = 7 * 86_400
"""Nothing after a quarter hour that waits is closed either, and what is open is held in memory."""
SHORTEST_COIN_SCAN_S = 86_400


class LedgerPolicy(Part):
    """How the books are kept.

    An hour of ``meter_grace`` is time for a device to start again or for somebody to get to it; what it latched is then exact.
    """

    currency: Literal["EUR"] = "EUR"
    """The currency of every value."""
    recognise_mining_revenue: Literal["at_maturity", "at_accrual"] = "at_maturity"
    """Whether a coinbase is revenue when it can be spent, 100 blocks later, or when it is found."""
    meter_grace_s: Seconds = 3600
    """Time of the wall for which a quarter hour that is over waits for a silent meter. Then it is closed with it unknown."""

    coin_scan_s: Seconds = 7 * 86_400
    """How often the books read all coins off a bitcoind, minutes of its work on mainnet; some it is asked for all the time."""

    @model_validator(mode="after")
    def _within_reason(self) -> "LedgerPolicy":
        if self.meter_grace_s > LONGEST_METER_GRACE_S:
            raise mistake(
                "quarter hours would wait for a meter for more than a week", "Write at most 7 d, like 1 h", "meter_grace"
            )
        if self.coin_scan_s < SHORTEST_COIN_SCAN_S:
            raise mistake("a bitcoind would read all coins more than once a day", "Write at least 1 d, like 7 d", "coin_scan")
        return self


class Clock(Part):
    """The fleet's one clock, which simulated sites and networks share."""

    speed: int = Field(default=1, ge=1, le=3600)
    """Seconds of it per second. Hashing and block headers stay on the real clock; with anything real it is 1."""


class Party(Part):
    """A legal person that owns a source, a load, a meter, machines or a wallet. What crosses between two is a delivery."""

    id: Id
    """How the rest of the file refers to it."""
    name: Text
    """Name as people read it."""


class Console(Part):
    """The pages and the API."""

    listen: ListenAddress = Address("127.0.0.1", 8480)
    """Address and port on this machine: there is no sign-in yet, so other machines are not let in."""

    @model_validator(mode="after")
    def _stays_here(self) -> "Console":
        if not self.listen.loopback:
            raise mistake(
                f"{self.listen} would show the console to other machines without a sign-in",
                "Listen on 127.0.0.1 and reach it with `ssh -L`",
                "listen",
            )
        return self


class Fleet(Part):
    """Everything that an operator declares. What the operator does not have is left out.

    Made by :func:`photosynth.fleet.load_fleet`.
    """

    version: Literal[2]
    """Version of this format."""
    operator: Id
    """The party that runs this software."""
    include: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """More files of the same keys, like `sites/*.yaml`, beside this one; their lists come after this file's."""
    clock: Clock = Clock()
    """One clock for all."""
    parties: Annotated[tuple[Party, ...], Field(max_length=1000)] = ()
    """The legal persons that own something here; not needed where only the operator does."""
    sites: Annotated[tuple[Site, ...], Field(max_length=100)] = ()
    """Where energy is turned into work."""
    nodes: Annotated[tuple[Node, ...], Field(max_length=1000)] = ()
    """The members of networks."""
    wallets: Annotated[tuple[Wallet, ...], Field(max_length=1000)] = ()
    """Where coins go."""
    ledger: LedgerPolicy = LedgerPolicy()
    """How the books are kept."""
    alerts: Alerts = Alerts()
    """Whom to wake."""
    console: Console = Console()
    """The pages and the API."""

    @model_validator(mode="after")
    def _wallets_are_paid_apart(self) -> "Fleet":
        paid: dict[tuple[str, str, str], str] = {}
        for wallet in self.wallets:
            other = paid.setdefault((wallet.network, wallet.chain, wallet.destination()), wallet.id)
            if other != wallet.id:
                raise mistake(
                    f"the wallets {other} and {wallet.id} are one: the same is paid on the same chain",
                    "Remove one of them, or give it a script of its own",
                    "wallets",
                )
        return self

    def mining_sites(self) -> tuple["MiningSite", ...]:
        """Every site with its node and its wallet, in the file's order."""
        nodes = {node.id: node for node in self.nodes}
        return tuple(MiningSite(self, site, nodes[site.pool.node[0]], self._wallet_of(site)) for site in self.sites)

    def _wallet_of(self, site: Site) -> Wallet:
        chain = next(node.chain for node in self.nodes if node.id == site.pool.node[0])
        return next(
            wallet
            for wallet in self.wallets
            if wallet.id == site.pool.wallet
            or (site.pool.wallet is None and (wallet.network, wallet.chain, wallet.custody) == ("bitcoin", chain, "own"))
        )


@dataclass(frozen=True, slots=True)
class MiningSite:
    """A site with what the rest of its fleet file gives it: the node that it mines on, the wallet that it pays."""

    fleet: Fleet
    site: Site
    node: Node
    wallet: Wallet
