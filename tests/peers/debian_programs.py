"""Programs of this machine's own Debian for tests: its packages unpacked into the user's cache folder; nothing is installed.

Packages come from the mirror that this machine's apt sources name, through a private apt root, so that apt verifies each by the
archive's signature. It is for programs that need no more of Debian than its C library.
"""

import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.peers.setup_bitcoind import ADVICE, NotToBeHadError, private_apt_root, run

TIMEOUT_S = 100
"""Of one set-up."""


def obtain(package: str, program: str) -> Path:
    """A program by its name: on this machine, from the cache, or newly unpacked. Raises NotToBeHadError."""
    if (found := shutil.which(program)) is not None:
        return Path(found)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "photosynth" / "peers" / package
    folder.mkdir(parents=True, exist_ok=True)
    unpacked = folder / _codename()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not unpacked.is_dir():
            _unpack(package, unpacked)
    path = unpacked / "usr" / "bin" / program
    if not path.is_file():
        raise NotToBeHadError(f"Debian's {package} has no program {program}: remove {unpacked} and try again")
    return path


def _unpack(package: str, unpacked: Path) -> None:
    print(f"Setting up Debian's {package} in {unpacked} ...", file=sys.stderr, flush=True)
    deadline = time.monotonic() + TIMEOUT_S
    with tempfile.TemporaryDirectory(prefix="setup-", dir=unpacked.parent) as scratch:
        root = Path(scratch)
        options = private_apt_root(root, unpacked.name)
        run(["apt-get", *options, "update"], root, deadline)
        run(["apt-get", *options, "download", package], root, deadline)
        for file in root.glob("*.deb"):
            run(["dpkg", "-x", str(file), str(root / "unpacked")], root, deadline)
        (root / "unpacked").rename(unpacked)


def _codename() -> str:
    """The suite of this machine's Debian."""
    try:
        found = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None or shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NotToBeHadError(f"this machine is not Debian. {ADVICE}")
    return found[1]
