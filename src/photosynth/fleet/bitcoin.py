"""The Bitcoin part of a fleet file: node, network, payout, demonstration money; and the pool in front of it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from photosynth.fleet.model import Part
from photosynth.fleet.units import CoinPrice, PositiveSeconds, Satoshis, mistake, shown
from photosynth.fleet.values import (
    AllowedNetwork,
    Day,
    FilePath,
    ListenAddress,
    RpcUrl,
    Script,
    VersionMask,
    parse_network,
)

PUBLISHED_TEST_SCRIPT = bytes.fromhex("0014751e76e8199196d454941c45d1b3a323f1433bd6")
"""Pays the private key 1 (BIP173's test vector): anybody can spend it, so it is for demonstrations alone."""
LONGEST_BLOCK_INTERVAL_S = 86_400
"""Seconds that the demonstration's target is steered to at most."""
LOOPBACK_NETWORKS = (parse_network("127.0.0.0/8"), parse_network("::1/128"))


class NodeChoice(Part):
    """Which node: ``embedded``, or a bitcoind as ``{bitcoind: URL, cookie_file: PATH}`` or with user and password_file."""

    bitcoind: RpcUrl | None = None
    """Address of bitcoind's RPC server, like http://127.0.0.1:18443."""
    cookie_file: FilePath | None = None
    """bitcoind's cookie file, like ~/.bitcoin/regtest/.cookie."""
    user: str | None = Field(default=None, min_length=1, max_length=100)
    """Name of an RPC user, where no cookie is used."""
    password_file: FilePath | None = None
    """File that holds the RPC user's password and nothing else; readable by you alone."""

    @model_validator(mode="after")
    def _one_way_in(self) -> "NodeChoice":
        extra = [key for key in ("cookie_file", "user", "password_file") if getattr(self, key) is not None]
        if self.bitcoind is None:
            if extra:
                raise mistake("a node with credentials has no address", "Add `bitcoind: http://127.0.0.1:18443`", extra[0])
        elif extra not in (["cookie_file"], ["user", "password_file"]):
            raise mistake(
                "bitcoind needs exactly one way to sign in",
                "Give `cookie_file: ~/.bitcoin/regtest/.cookie`, or both `user` and `password_file`",
            )
        return self

    @property
    def embedded(self) -> bool:
        """Whether the node runs inside this program."""
        return self.bitcoind is None

    def credentials(self) -> tuple[Path | None, str | None, Path | None]:
        """The cookie file, the user and the password's file; read where they are used, never kept."""
        return self.cookie_file, self.user, self.password_file


def parse_node(value: object) -> object:
    """Turn the short form ``embedded`` into the whole one."""
    if value == "embedded":
        return {}
    if not isinstance(value, dict) or not value:
        raise mistake(
            f"{shown(value)} is not a node",
            "Write `embedded`, or `{bitcoind: http://127.0.0.1:18443, cookie_file: ~/.bitcoin/regtest/.cookie}`",
        )
    return value


class Demonstration(Part):
    """A demonstration's difficulty and money: what the represented work would have earned on mainnet at a date."""

    block_interval_s: PositiveSeconds
    """Site time between blocks that the demonstration difficulty aims at."""
    difficulty: int = Field(ge=1, le=2**63)
    """Mainnet's difficulty at the date, as a whole number."""
    subsidy_sat: Satoshis
    """Mainnet's block subsidy at the date."""
    fees_sat: Satoshis
    """Mean fees of a mainnet block at the date."""
    price_cent_per_btc: CoinPrice
    """Price of a bitcoin at the date."""
    date: Day
    """The date of these figures."""

    @model_validator(mode="after")
    def _paced(self) -> "Demonstration":
        if self.block_interval_s > LONGEST_BLOCK_INTERVAL_S:
            raise mistake("blocks that lie more than a day apart cannot be paced", "Write at most `24 h`", "block_interval")
        return self


class Bitcoin(Part):
    """The Bitcoin node that the site mines on and where the coins go."""

    node: Annotated[NodeChoice, BeforeValidator(parse_node)]
    """`embedded`, or a bitcoind by its address and cookie file, or user and password file."""
    network: Literal["regtest", "signet", "testnet4", "main"]
    """The chain. A site runs on regtest alone as yet."""
    payout_script: Script | None = None
    """Output script that every coinbase pays, in hexadecimal and quotes."""
    payout_address: str | None = Field(default=None, min_length=14, max_length=100)
    """The same as an address of the network; one of the two is needed."""
    demonstration: Demonstration | None = None
    """Difficulty and money of a demonstration on regtest."""

    @model_validator(mode="after")
    def _safe(self) -> "Bitcoin":
        if (self.payout_script is None) == (self.payout_address is None):
            raise mistake(
                "the payout needs exactly one of payout_script and payout_address",
                "Keep one of them",
                "payout_address" if self.payout_address else None,
            )
        if self.node.embedded and self.network != "regtest":
            money = " where coins are worth money" if self.network == "main" else " yet"
            raise mistake(
                f"the embedded node does not serve {self.network}{money}",
                "Write `network: regtest`, or let `node` name a bitcoind",
                "network",
            )
        if self.network == "regtest" and self.demonstration is None:
            raise mistake(
                "regtest without a demonstration would find thousands of blocks a second",
                "Add `demonstration:` with block_interval, difficulty, subsidy, fees, price and date",
            )
        if self.network != "regtest" and self.demonstration is not None:
            raise mistake(f"a demonstration cannot run on {self.network}", "Remove `demonstration`", "demonstration")
        if self.network != "regtest" and self.script() == PUBLISHED_TEST_SCRIPT:
            raise mistake(
                f"the payout on {self.network} goes to a published test key that anybody can spend",
                "Write a script of your own wallet",
                "payout_script" if self.payout_script else "payout_address",
            )
        if self.network != "regtest":
            raise mistake(
                f"a site cannot mine on {self.network} yet: nothing tells what its coins are worth, which decides when to mine",
                "Write `network: regtest` with a demonstration's figures",
                "network",
            )
        return self

    def script(self) -> bytes:
        """The output script that every coinbase pays."""
        if self.payout_script is not None:
            return self.payout_script
        from photosynth.bitcoin.address import script_of_address

        try:
            return script_of_address(self.payout_address or "", self.network)
        except ValueError as error:
            raise mistake(
                f"{shown(self.payout_address)} is not an address of {self.network}: {error}",
                "Copy the address from your wallet again, or give payout_script",
                "payout_address",
            ) from None


class PoolLimits(Part):
    """What guests may take of the pool; the fleet's own machines always have their places beside these."""

    connections: int = Field(default=20_000, ge=1, le=60_000)
    """Connections of guests in all. Each is an open file: where the system allows fewer (`ulimit -Hn`), it is fewer."""
    connections_per_address: int = Field(default=10_000, ge=1, le=60_000)
    """Connections of guests from one address; of IPv6, from one /64."""
    workers: int = Field(default=10_000, ge=1, le=1_000_000)
    """Guests that are counted by name. When all are taken, the one that has not mined for longest gives way to a new one, if it
    left a quarter hour ago or more."""
    workers_per_address: int = Field(default=1_000, ge=1, le=1_000_000)
    """Names of guests that one address may bring."""
    share_hashes: int = Field(default=128, ge=1, le=2**53)
    """Hashes that the cheapest share costs, whatever a miner suggests, so that nobody fills the disk for nothing."""


class Pool(Part):
    """The Stratum server that machines mine at, a guest's among them."""

    listen: ListenAddress
    """Address and port; beyond this machine only with an explicit `allow`."""
    allow: tuple[AllowedNetwork, ...] = Field(default=LOOPBACK_NETWORKS, max_length=100)
    """Networks whose machines may connect."""
    share_interval_s: PositiveSeconds
    """Time between a connection's shares that the variable difficulty aims at, on the real clock."""
    version_mask: VersionMask
    """Version bits that machines may roll (BIP310, BIP320)."""
    limits: PoolLimits = PoolLimits()
    """What guests may take."""

    @model_validator(mode="after")
    def _listens_safely(self) -> "Pool":
        if not self.listen.loopback and "allow" not in self.model_fields_set:
            raise mistake(
                f"{self.listen} is reached from other machines and nothing says which may",
                "Add `allow: [...]` with the networks of your machines, or listen on 127.0.0.1",
                "listen",
            )
        if not self.allow:
            raise mistake("nobody may connect", "Name a network, like 127.0.0.0/8", "allow")
        return self


class Console(Part):
    """The pages and the API."""

    listen: ListenAddress
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
