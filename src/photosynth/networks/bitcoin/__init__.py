"""Bitcoin: operating any bitcoind (Core, Knots) as a fleet member, and mining on it through JSON-RPC."""

from photosynth.networks.bitcoin.node import BitcoindNode
from photosynth.networks.bitcoin.probe import NodeObservation, probe
from photosynth.networks.bitcoin.recipe import BITCOIND
from photosynth.networks.bitcoin.rpc import CredentialsFile, RpcClient, RpcError, UserWithPasswordFile

__all__ = [
    "BITCOIND",
    "BitcoindNode",
    "CredentialsFile",
    "NodeObservation",
    "RpcClient",
    "RpcError",
    "UserWithPasswordFile",
    "probe",
]
