"""``site.json``: whose history a state folder holds, and of which parts it is made.

Database, share log and chain know the state that they belong to by its id, which stands in each of them; the database knows
the keys by their public halves. So a part that is missing beside the others, or is another state's, is refused and never made
anew in silence. What was last seen of evidence and share log is noted at every quarter hour and at the end, so that one of them
taken from an older copy is told from the one that belongs here.

Until the first start has made every part (``complete``) nothing was mined, counted or booked, and what is missing is made.
"""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from photosynth.files.whole import write_whole
from photosynth.operations.state import StateError, StateFolder
from photosynth.storage.address import Place
from photosynth.storage.at_rest import holds_state

MARK = "state"
"""Name of the file in a part's folder, and key in the database's ``meta``, that holds the state's id."""

ANEW = "start anew with --fresh, which moves what is there aside"
COUNT_ANEW = (
    "start with --accept-lost-shares to count from zero: the workers' totals, and work that is in no closed quarter hour yet, "
    "are lost then"
)
RESTORE_CHAIN = "Put it back from a backup, import an export of its blocks with `photosynth chain import FILE`"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far evidence and share log had come: the newest line's place in the order of append, the root over all heads with it,
    and the last entry's number.
    """

    evidence_line: int
    evidence_root: str
    share_seq: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``site.json`` says."""

    state: str
    site: dict[str, str] = field(default_factory=dict)
    complete: bool = False
    counting_anew: bool = False
    """The operator gave the share log up, and no new one has taken its place yet."""
    seen: Seen | None = None

    @property
    def embedded(self) -> bool:
        """Whether the chain is a part of this state."""
        return self.site.get("node") == "embedded"

    @property
    def network(self) -> str:
        """The chain's name."""
        return self.site.get("network", "regtest")


def load_manifest(folder: StateFolder) -> Manifest | None:
    """What a folder's ``site.json`` says, None where there is none. Raises StateError where it is not readable."""
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
    seen = known["seen"]
    site = {str(key): str(value) for key, value in known["site"].items()}
    if not isinstance(known["state"], str) or len(bytes.fromhex(known["state"])) != 16 or not site:
        raise ValueError("no id")
    return Manifest(
        known["state"],
        site,
        complete=known["complete"] is True,
        counting_anew=known["counting_anew"] is True,
        seen=None if seen is None else Seen(int(seen["evidence_line"]), str(seen["evidence_root"]), int(seen["share_seq"])),
    )


def save_manifest(folder: StateFolder, manifest: Manifest) -> None:
    """Write it down whole and durable. Raises OSError."""
    write_whole(folder.manifest, json.dumps(asdict(manifest), indent=1, sort_keys=True).encode())


def begin(folder: StateFolder, site: dict[str, str]) -> Manifest:
    """The manifest of a folder for a site that starts in it, made on the first start.

    Raises StateError where the folder holds another site's history, or not all of its own. Only under the lock.
    """
    manifest = load_manifest(folder)
    if manifest is None:
        left = [path.name for path in folder.parts() if path.exists()]
        if left:
            raise StateError(
                f"{folder.manifest} is missing beside {', '.join(left)}, so whose history that is cannot be told; "
                f"restore it from a backup, or {ANEW}"
            )
        manifest = Manifest(os.urandom(16).hex(), site)
        save_manifest(folder, manifest)
        return manifest
    for key, value in site.items():
        if manifest.site.get(key) != value:
            raise StateError(
                f"{folder.root} holds the history of another site: {key} was {manifest.site.get(key)!r} and is now {value!r}; "
                f"choose another folder with --state DIR, or {ANEW}"
            )
    return manifest


def check_parts(folder: StateFolder, manifest: Manifest) -> None:
    """Refuse a state of which a part is missing or another's.

    Raises StateError with what to do, and StorageError where the server of its database does not answer.
    """
    for path, content, advice in _needed(folder, manifest):
        if not content:
            if manifest.complete:
                raise StateError(f"{path} is missing, and the rest of this state is there. {advice}")
        elif (
            path != folder.keys
            and isinstance(path, Path)
            and path.is_dir()
            and (mark := read_mark(path)) != manifest.state
            and (mark is not None or manifest.complete)
        ):
            raise StateError(f"{path} is not of this state, but of {'another' if mark else 'one that nothing tells'}. {advice}")


def _needed(folder: StateFolder, manifest: Manifest) -> list[tuple[Place, bool, str]]:
    """Each part of a state, whether anything is there, and what to do where it is not."""
    restore = "Put it back from a backup"
    found: list[tuple[Place, bool, str]] = [
        (
            folder.database,
            holds_state(folder.database),
            f"The journal and the evidence are in it and nowhere else. {restore}, or {ANEW}",
        ),
        (
            folder.keys,
            _has_keys(folder.keys),
            f"The keys in it signed the evidence that is here, and no others can go on with that. {restore}, or {ANEW}",
        ),
    ]
    if not manifest.counting_anew:
        found.append((folder.shares, _has_segments(folder.shares), f"{restore}, or {COUNT_ANEW}"))
    if manifest.embedded:
        there = (folder.chain / "blocks.log").exists()
        found.append((folder.chain, there, f"The blocks that the books follow are in it. {RESTORE_CHAIN}, or {ANEW}"))
    return found


def _has_keys(keys: Path) -> bool:
    """Whether a key of evidence is there. Raises OSError where that cannot be seen."""
    try:
        return any(path.suffix == ".key" for path in keys.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False


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


def completed(folder: StateFolder, manifest: Manifest) -> Manifest:
    """Note that every part is there now, before anything is mined, counted or booked."""
    if manifest.complete and not manifest.counting_anew:
        return manifest
    manifest = replace(manifest, complete=True, counting_anew=False)
    save_manifest(folder, manifest)
    return manifest


def count_anew(folder: StateFolder, manifest: Manifest) -> tuple[Manifest, Path | None]:
    """Give the share log up: what is left of it is moved aside. The manifest, and where it is now. Only under the lock."""
    aside = folder.set_aside([folder.shares])
    seen = None if manifest.seen is None else replace(manifest.seen, share_seq=0)
    manifest = replace(manifest, counting_anew=True, seen=seen)
    save_manifest(folder, manifest)
    return manifest, aside
