"""The embedded full node: Bitcoin Core's consensus in this process, with an index, templates and a log of its own."""

from photosynth.bitcoin_node.chain import StartReport
from photosynth.bitcoin_node.lock import FolderInUseError
from photosynth.bitcoin_node.node import EmbeddedNode, open_node

__all__ = ["EmbeddedNode", "FolderInUseError", "StartReport", "open_node"]
