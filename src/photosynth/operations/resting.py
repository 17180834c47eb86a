"""Parts of a stopped fleet's state, opened to be read as they were left, and its node opened to take blocks in.

Reading changes nothing: no file of the state is made, repaired or written, so that it can be read by whoever may not write it.
The one exception is an export of evidence after a kill, which writes down first what was posted and not signed yet.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from photosynth.bitcoin.node import NodeUnavailableError, Verdict
from photosynth.operations.manifest import Manifest, check_parts, load_manifest, write_mark
from photosynth.operations.state import StateError, StateFolder
from photosynth.storage.address import Place

if TYPE_CHECKING:
    from photosynth.bitcoin_node import EmbeddedNode
    from photosynth.bitcoin_node.reading import RestingChain


def begun(folder: StateFolder) -> Manifest:
    """What a folder's manifest says. Raises StateError where no site has lived there."""
    if not folder.exists:
        raise StateError(
            f"no site has lived in {folder.root}; start one with `photosynth up`, or name another folder with --state DIR"
        )
    manifest = load_manifest(folder)
    if manifest is None:
        raise StateError(f"{folder.manifest} is missing, so whose history {folder.root} holds cannot be told; restore it")
    return manifest


@contextmanager
def read_state(state: Place) -> Iterator[tuple[StateFolder, Manifest]]:
    """A stopped fleet's folder, whole, kept as it is. Raises StateError."""
    folder = StateFolder(state)
    if folder.root.is_dir():
        folder.lock(reading=True)
    try:
        manifest = begun(folder)
        check_parts(folder, manifest)
        if not manifest.began:
            raise StateError(f"the first start on {state} did not finish; start it again with `photosynth up`")
        yield folder, manifest
    finally:
        folder.unlock()


class StoppedChain:
    """The blocks of a stopped fleet, as its node left them."""

    def __init__(self, chain: "RestingChain") -> None:
        self._chain = chain

    async def blocks(self, from_height: int) -> AsyncIterator[bytes]:
        """Serialised blocks of the active chain, from a height to the tip, in order."""
        for raw in self._chain.blocks(from_height):
            yield raw


@asynccontextmanager
async def open_stopped_chain(state: Place, node: str | None = None) -> AsyncIterator[StoppedChain]:
    """The chain of a stopped fleet's node, without a name of the first inside the program, to read.

    Raises StateError, NotKnownError, and NodeUnavailableError where no node is inside the program.
    """
    from photosynth.bitcoin_node.reading import RestingChain

    with read_state(state) as (folder, manifest), RestingChain(folder.node(_embedded(manifest, node))) as chain:
        yield StoppedChain(chain)


class StoppedNode:
    """The embedded node of a stopped fleet, for blocks that come in; the books follow at the next start."""

    def __init__(self, node: "EmbeddedNode") -> None:
        self._node = node

    def submit_all(self, blocks: AsyncIterator[bytes]) -> AsyncIterator[Verdict]:
        """Hand in serialised blocks; the verdicts in their order."""
        from photosynth.bitcoin_node.importing import submit_all

        return submit_all(self._node, blocks)


@asynccontextmanager
async def open_stopped_node(state: Place, name: str | None = None) -> AsyncIterator[StoppedNode]:
    """A node of a stopped fleet, without a name the first inside the program, to write.

    A chain that was lost begins anew, so that an export can be brought back. Raises as :func:`open_stopped_chain`.
    """
    from photosynth.bitcoin_node import open_node

    folder = StateFolder(state)
    _embedded(begun(folder), name)
    folder.lock()
    try:
        manifest = begun(folder)
        name = _embedded(manifest, name)
        node = await open_node(folder.node(name), manifest.nodes[name].chain.partition("/")[2])
        try:
            write_mark(folder.node(name), manifest)
            yield StoppedNode(node)
        finally:
            await node.close()
    finally:
        folder.unlock()


def _embedded(manifest: Manifest, wanted: str | None) -> str:
    name = manifest.first_embedded()
    if name is None:
        raise NodeUnavailableError("no node of this fleet is inside this program: ask the bitcoind, or start the fleet")
    known = manifest.active_nodes()
    if wanted is not None and wanted not in known:
        from photosynth.operations.view import NotKnownError

        raise NotKnownError(
            f"There is no node {wanted[:80]!r} inside this program; there is {', '.join(known)}. "
            "Nodes that run elsewhere can be asked while the fleet runs."
        )
    return wanted or name


class StoppedEvidence:
    """The evidence of a stopped fleet, of all streams or of one site's."""

    def __init__(self, folder: StateFolder, site: str | None) -> None:
        self._folder, self._site = folder, site

    async def lines(self) -> AsyncIterator[bytes]:
        """The lines of an export, each without its line feed. Raises NotKnownError."""
        from functools import partial

        from photosynth.operations.evidence_keys import signing_identity
        from photosynth.operations.view import NotKnownError
        from photosynth.storage import Database
        from photosynth.treasury.evidence.export import NoEvidenceError, export_lines

        with Database(self._folder.database, at_rest=True) as database, database.read() as tx:
            try:
                for line in export_lines(tx, partial(signing_identity, tx, self._folder), self._site):
                    yield line
            except NoEvidenceError as error:
                raise NotKnownError(f"{error}.") from None


@asynccontextmanager
async def open_stopped_evidence(state: Place, site: str | None = None) -> AsyncIterator[StoppedEvidence]:
    """The evidence of a stopped fleet, of all streams or of one site's. Raises StateError and StorageError.

    Of all, the postings that a kill left out are written down first.
    """
    if site is None:
        from photosynth.operations.recording import record_stopped

        record_stopped(state)
    with read_state(state) as (folder, _):
        yield StoppedEvidence(folder, site)
