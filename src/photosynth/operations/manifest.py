"""``manifest.json``: whose history a state folder holds, and of which parts it is made.

Database, share logs and embedded chains know the state that they belong to by its id, which stands in each of them; the
database knows the keys by their public halves. So a part that is missing beside the others, or is another state's, is refused
and never made anew in silence. What was last seen of a site's evidence and share log is noted at every quarter hour and at the
end, so that one of them taken from an older copy is told from the one that belongs here.

Until the first start of a site or node has made its parts nothing of it was mined, counted or booked, and what is missing is
made. A site that is no longer in the fleet file keeps its folder; one that is new begins in a state that is there already.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from photosynth.files.whole import write_whole
from photosynth.operations.state import StateError, StateFolder
from photosynth.storage.address import Place
from photosynth.storage.at_rest import holds_state
from photosynth.treasury.evidence.envelope import BOOKS

MARK = "state"
"""Name of the file in a part's folder, and key in the database's ``meta``, that holds the state's id."""

ANEW = "start anew with --fresh, which moves what is there aside"
COUNT_ANEW = (
    "start with --accept-lost-shares to count from zero: the workers' totals, and work that is in no closed quarter hour yet, "
    "are lost then"
)
RESTORE_CHAIN = "Put it back from a backup, import an export of its blocks with `photosynth chain import FILE`"
_RESTORE = "Put it back from a backup"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far evidence and share log had come: the newest line's place in the order of append, the root over all heads with it,
    and the last entry's number.
    """

    evidence_line: int
    evidence_root: str
    share_seq: int


@dataclass(frozen=True, slots=True)
class SitePart:
    """One site: what never changes of it, and how far it came."""

    identity: dict[str, str]
    active: bool = True
    """Whether the fleet file of the last start declared it."""
    began_ms: int | None = None
    """The fleet's time when its first start had made every part of it; None until then."""
    counting_anew: bool = False
    """The operator gave the share log up, and no new one has taken its place yet."""
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class NodePart:
    """One embedded node: its chain, and whether its first start has made its folder."""

    chain: str
    active: bool = True
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``manifest.json`` says. ``complete`` is whether there was ever a database."""

    state: str
    operator: str
    sites: dict[str, SitePart] = field(default_factory=dict)
    nodes: dict[str, NodePart] = field(default_factory=dict)
    complete: bool = False

    def active_sites(self) -> dict[str, SitePart]:
        """The sites that the fleet file of the last start declared."""
        return {name: part for name, part in self.sites.items() if part.active}

    def active_nodes(self) -> dict[str, NodePart]:
        """The embedded nodes that the fleet file of the last start declared."""
        return {name: part for name, part in self.nodes.items() if part.active}

    @property
    def began(self) -> bool:
        """Whether the first start of anything that the fleet file declares has made every part of it."""
        sites, nodes = self.active_sites().values(), self.active_nodes().values()
        found = [part.began_ms is not None for part in sites] + [part.complete for part in nodes]
        return self.complete and (any(found) or not found)

    def first_embedded(self) -> str | None:
        """The embedded node that is meant where none is named; None where there is none."""
        return next(iter(self.active_nodes()), None)

    def with_site(self, name: str, **changes: Any) -> "Manifest":
        """The same with something else of one site."""
        return replace(self, sites={**self.sites, name: replace(self.sites[name], **changes)})

    def with_node(self, name: str, **changes: Any) -> "Manifest":
        """The same with something else of one embedded node."""
        return replace(self, nodes={**self.nodes, name: replace(self.nodes[name], **changes)})


def load_manifest(folder: StateFolder) -> Manifest | None:
    """What a folder's ``manifest.json`` says, None where there is none. Raises StateError where it is not readable."""
    path = folder.manifest
    try:
        known = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StateError(f"{path} is not readable JSON ({error}); restore it from a backup, or {ANEW}") from error
    try:
        return _manifest(known)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise StateError(f"{path} does not say whose history this is; restore it from a backup, or {ANEW}") from None


def _manifest(known: Any) -> Manifest:
    if not isinstance(known["state"], str) or len(bytes.fromhex(known["state"])) != 16 or not isinstance(known["operator"], str):
        raise ValueError("no id")
    return Manifest(
        known["state"],
        known["operator"],
        {str(name): _site(part) for name, part in known["sites"].items()},
        {
            str(name): NodePart(str(part["chain"]), part["active"] is True, part["complete"] is True)
            for name, part in known["nodes"].items()
        },
        known["complete"] is True,
    )


def _site(part: Any) -> SitePart:
    seen = part["seen"]
    return SitePart(
        {str(key): str(value) for key, value in part["identity"].items()},
        active=part["active"] is True,
        began_ms=None if part["began_ms"] is None else int(part["began_ms"]),
        counting_anew=part["counting_anew"] is True,
        seen=None if seen is None else Seen(int(seen["evidence_line"]), str(seen["evidence_root"]), int(seen["share_seq"])),
    )


def save_manifest(folder: StateFolder, manifest: Manifest) -> None:
    """Write it down whole and durable. Raises OSError."""
    write_whole(folder.manifest, json.dumps(asdict(manifest), indent=1, sort_keys=True).encode())


@dataclass(frozen=True, slots=True)
class Begun:
    """The manifest of a start, and the sites that were there at the last one and are not declared any more."""

    manifest: Manifest
    left_out: tuple[str, ...]


def begin(folder: StateFolder, operator: str, sites: Mapping[str, Mapping[str, str]], embedded: Mapping[str, str]) -> Begun:
    """The manifest of a folder for a fleet that starts in it, made on the first start.

    ``sites`` are what never changes of each, ``embedded`` the chains of the nodes inside this program. Raises StateError where
    the folder holds another fleet's history, another site's of that name, or not all of its own. Only under the lock.
    """
    before = load_manifest(folder)
    if before is None:
        left = [path.name for path in folder.parts() if path.exists()]
        if left:
            raise StateError(
                f"{folder.manifest} is missing beside {', '.join(left)}, so whose history that is cannot be told; "
                f"restore it from a backup, or {ANEW}"
            )
        before = Manifest(os.urandom(16).hex(), operator)
    if before.operator != operator:
        raise _other(folder, f"the operator was {before.operator!r} and is now {operator!r}")
    for name, identity in sites.items():
        known = before.sites.get(name)
        for key, value in identity.items() if known is not None else ():
            if known is not None and known.identity.get(key) != value:
                raise _other(folder, f"{key} of the site {name} was {known.identity.get(key)!r} and is now {value!r}")
    for name, chain in embedded.items():
        if name in before.nodes and before.nodes[name].chain != chain:
            raise _other(folder, f"the chain of the node {name} was {before.nodes[name].chain!r} and is now {chain!r}")
    manifest = replace(
        before,
        sites={
            **{name: replace(part, active=name in sites) for name, part in before.sites.items()},
            **{name: SitePart(dict(identity)) for name, identity in sites.items() if name not in before.sites},
        },
        nodes={
            **{name: replace(part, active=name in embedded) for name, part in before.nodes.items()},
            **{name: NodePart(chain) for name, chain in embedded.items() if name not in before.nodes},
        },
    )
    save_manifest(folder, manifest)
    return Begun(manifest, tuple(name for name in before.active_sites() if name not in sites))


def _other(folder: StateFolder, what: str) -> StateError:
    return StateError(f"{folder.root} holds another history: {what}; choose another folder with --state DIR, or {ANEW}")


def check_parts(folder: StateFolder, manifest: Manifest) -> None:
    """Refuse a state of which a part is missing or another's.

    Raises StateError with what to do, and StorageError where the server of its database does not answer.
    """
    for part in _needed(folder, manifest):
        if not part.there:
            if part.needed:
                raise StateError(f"{part.path} is missing, and the rest of this state is there. {part.advice}")
        elif (
            isinstance(part.path, Path)
            and part.path.is_dir()
            and (mark := read_mark(part.path)) != manifest.state
            and (mark is not None or part.needed)
        ):
            whose = "another" if mark else "one that nothing tells"
            raise StateError(f"{part.path} is not of this state, but of {whose}. {part.advice}")


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a state: whether anything is there, whether it must be, and what to do where it is not."""

    path: Place
    there: bool
    needed: bool
    advice: str


def _needed(folder: StateFolder, manifest: Manifest) -> Iterable[_Part]:
    advice = f"The journal and the evidence are in it and nowhere else. {_RESTORE}, or {ANEW}"
    yield _Part(folder.database, holds_state(folder.database), manifest.complete, advice)
    signed = f"It signed the evidence that is here, and no other key can go on with that. {_RESTORE}, or {ANEW}"
    of_books = folder.key(BOOKS)
    yield _Part(of_books, of_books.exists(), any(site.began_ms is not None for site in manifest.sites.values()), signed)
    for name, site in manifest.active_sites().items():
        files, begun = folder.site(name), site.began_ms is not None
        yield _Part(files.key, files.key.exists(), begun, signed)
        if not site.counting_anew:
            yield _Part(files.shares, _has_segments(files.shares), begun, f"{_RESTORE}, or {COUNT_ANEW}")
    for name, node in manifest.active_nodes().items():
        path = folder.node(name)
        advice = f"The blocks that the books follow are in it. {RESTORE_CHAIN}, or {ANEW}"
        yield _Part(path, (path / "blocks.log").exists(), node.complete, advice)


def _has_segments(shares: Path) -> bool:
    """Whether a share log is there. Raises OSError where that cannot be seen, which is not the same as lost."""
    try:
        names = [path.name for path in shares.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return False
    return any(name[:1].isdigit() and name.endswith(".log") for name in names)


def read_mark(folder: Path) -> str | None:
    """The id of the state that a part's folder belongs to, None where none is noted."""
    try:
        return (folder / MARK).read_text(encoding="ascii")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def write_mark(folder: Path, manifest: Manifest) -> None:
    """Note in a part's folder which state it belongs to. Raises OSError."""
    if read_mark(folder) != manifest.state:
        write_whole(folder / MARK, manifest.state.encode())


def count_anew(folder: StateFolder, manifest: Manifest, site: str) -> tuple[Manifest, Path | None]:
    """Give a site's share log up: what is left of it is moved aside. The manifest, and where it is now. Only under the lock."""
    aside = folder.set_aside([folder.site(site).shares])
    known = manifest.sites[site].seen
    manifest = manifest.with_site(site, counting_anew=True, seen=None if known is None else replace(known, share_seq=0))
    save_manifest(folder, manifest)
    return manifest, aside
