"""The embedded full node: Bitcoin Core's consensus in this process, with an index, templates and a log of its own.

What stands here is imported when it is asked for: a stopped site's chain is read without the consensus library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from photosynth.bitcoin_node.chain import StartReport
    from photosynth.bitcoin_node.lock import FolderInUseError
    from photosynth.bitcoin_node.node import EmbeddedNode, open_node

__all__ = ["EmbeddedNode", "FolderInUseError", "StartReport", "open_node"]

_MODULES = {"EmbeddedNode": "node", "FolderInUseError": "lock", "StartReport": "chain", "open_node": "node"}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__} has no {name}")
