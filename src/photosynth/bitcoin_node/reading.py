"""The chain of a node that does not run, read from its index and its block log: nothing is opened for writing, made or mended.

What the index holds is what the node has answered for. Where the index is damaged, only the node itself can rebuild it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import lmdb

from photosynth.bitcoin.node import NodeUnavailableError, Tip, hash_text
from photosynth.bitcoin_node.block_log import BlockLogError, read_record
from photosynth.bitcoin_node.coins import IndexDamagedError
from photosynth.bitcoin_node.index import Index
from photosynth.files.whole import own_file


class RestingChain:
    """The chain in a node's folder. Raises NodeUnavailableError with what to do. Close it after use."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "blocks.log"
        try:
            self._file = own_file(self._path, os.O_RDONLY)
        except OSError as error:
            raise NodeUnavailableError(f"{self._path} cannot be read: {error.strerror}; restore it from a backup") from error
        try:
            self._index = Index(folder / "index", read_only=True)
        except (OSError, lmdb.Error, IndexDamagedError) as error:
            os.close(self._file)
            raise NodeUnavailableError(
                f"the index in {folder / 'index'} cannot be read ({error}): start the site once, which rebuilds it"
            ) from error

    def tip(self) -> Tip:
        """The best block. Raises NodeUnavailableError."""
        try:
            tip = self._index.tip()
        except lmdb.Error as error:
            raise self._damaged(error) from error
        if tip is None:
            raise NodeUnavailableError(f"the chain in {self._path.parent} is empty: its first start did not finish")
        return tip

    def blocks(self, from_height: int) -> Iterator[bytes]:
        """Serialised blocks of the active chain, from a height to the tip, in order. Raises NodeUnavailableError."""
        try:
            for block_hash in self._index.hashes(from_height):
                entry = self._index.entry(block_hash)
                if entry is None:
                    raise NodeUnavailableError(f"block {hash_text(block_hash)} is not in the index: start the site once")
                yield read_record(self._file, self._path, entry.offset)
        except BlockLogError as error:
            raise NodeUnavailableError(f"{error}: start the site once, which takes it from the consensus library") from error
        except lmdb.Error as error:
            raise self._damaged(error) from error

    def _damaged(self, error: lmdb.Error) -> NodeUnavailableError:
        return NodeUnavailableError(
            f"the index in {self._path.parent / 'index'} is damaged ({error}): start the site once, which rebuilds it"
        )

    def close(self) -> None:
        """Let the files go."""
        self._index.close()
        os.close(self._file)

    def __enter__(self) -> "RestingChain":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
