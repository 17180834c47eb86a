"""The pool of a site: the Stratum server, who may connect, and what guests may take of it."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from photosynth.settings.part import Part
from photosynth.settings.units import PositiveSeconds, mistake
from photosynth.settings.values import AllowedNetwork, Id, ListenAddress, VersionMask, parse_network

LOOPBACK_NETWORKS = (parse_network("127.0.0.0/8"), parse_network("::1/128"))


def listed(value: object) -> object:
    """A single name as a list of one."""
    return (value,) if isinstance(value, str) else value


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
    node: Annotated[tuple[Id, ...], BeforeValidator(listed), Field(min_length=1, max_length=10)]
    """The Bitcoin node that it mines on, or several as a list in order of preference. The first is used; others wait."""
    wallet: Id | None = None
    """The wallet that its blocks pay; not needed where the fleet has only one of its own on the node's chain."""
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
