"""Get a real bitcoind for tests: Debian unstable's `bitcoin-knots`, unpacked beside its own libraries.

    python -m tests.peers.setup_bitcoind        # prints where it is; needs no root, about ten seconds the first time

The package and the libraries it needs come from the Debian mirror that this machine's own apt sources name, through a
private apt root, so that apt verifies every file by the archive's signature; nothing is installed. The result is kept in
the user's cache folder by version, with a record of every package's version beside it.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "bitcoin-knots"
SUITE = "sid"
TIMEOUT_S = 100
"""Of the whole set-up: a test that waits for it is ended after 120 seconds."""
NOT_NEEDED = re.compile(r"^(systemd|libsystemd.*|libmount1|libblkid1|libselinux1|libpcre2.*|debconf|.*-base|libc-gconv.*)$")
"""What the package asks for in order to be a system service; the program itself does not link it."""
ADVICE = (
    "Tests against real software need a Debian machine whose apt sources name a reachable Debian mirror, or the program itself: "
    "PHOTOSYNTH_BITCOIND may name a bitcoind; others are looked for on the PATH."
)


class NotToBeHadError(Exception):
    """This machine cannot get the peer; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Bitcoind:
    """A bitcoind that can be started: the command's first words, and which version it is."""

    command: tuple[str, ...]
    version: str


def cache_folder() -> Path:
    """Where bitcoind is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "photosynth" / "peers" / "bitcoind"


def obtain() -> Bitcoind:
    """The bitcoind of the environment, of the cache, or newly set up. Raises NotToBeHadError."""
    given = os.environ.get("PHOTOSYNTH_BITCOIND")
    if given:
        return Bitcoind((given,), _version_of((given,), time.monotonic() + TIMEOUT_S))
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _cached(folder) or _set_up(folder)


def _cached(folder: Path) -> Bitcoind | None:
    try:
        record = json.loads((folder / "current.json").read_text())
        found = Bitcoind(_command(folder / record["folder"]), record["version"])
    except (OSError, ValueError, KeyError, NotToBeHadError):
        return None
    return found


def _set_up(folder: Path) -> Bitcoind:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise NotToBeHadError(f"{tool} is not on this machine. {ADVICE}")
    print(f"Setting up bitcoind: {PACKAGE} of Debian {SUITE} into {folder} ...", file=sys.stderr, flush=True)
    deadline = time.monotonic() + TIMEOUT_S
    with tempfile.TemporaryDirectory(prefix="setup-", dir=folder) as scratch:
        root = Path(scratch)
        options = private_apt_root(root, SUITE)
        run(["apt-get", *options, "update"], root, deadline)
        plan = run(["apt-get", *options, "-s", "-y", "--no-install-recommends", "install", PACKAGE], root, deadline)
        packages = dict(re.findall(r"^Inst (\S+) \((\S+)", plan, re.MULTILINE))
        if PACKAGE not in packages:
            raise NotToBeHadError(f"apt found no {PACKAGE} in Debian {SUITE}. {ADVICE}")
        wanted = {name: version for name, version in packages.items() if not NOT_NEEDED.match(name)}
        downloads = root / "downloads"
        downloads.mkdir()
        exact = [f"{name}={version}" for name, version in wanted.items()]
        run(["apt-get", *options, "download", *exact], downloads, deadline)
        unpacked = root / "unpacked"
        for package in sorted(downloads.glob("*.deb")):
            run(["dpkg", "-x", str(package), str(unpacked)], root, deadline)
        version = _version_of(_command(unpacked), deadline)
        name = re.sub(r"[^\w.+~-]", "_", wanted[PACKAGE])
        shutil.rmtree(folder / name, ignore_errors=True)
        unpacked.rename(folder / name)
    record = {"folder": name, "version": version, "packages": wanted}
    pending = folder / "current.json.new"
    pending.write_text(json.dumps(record, indent=1))
    pending.replace(folder / "current.json")
    return Bitcoind(_command(folder / name), version)


def private_apt_root(root: Path, suite: str) -> list[str]:
    """Options that make apt work in ``root`` alone, with one source: a suite of the machine's own mirror."""
    uri, signed_by = _debian_mirror()
    source = ["Types: deb", f"URIs: {uri}", f"Suites: {suite}", "Components: main", "Targets: Packages"]
    if signed_by:
        source.append(f"Signed-By: {signed_by}")
    (root / "peer.sources").write_text("\n".join(source) + "\n")
    for name in ("lists/partial", "cache/archives/partial", "state"):
        (root / name).mkdir(parents=True)
    (root / "status").touch()
    settings = {
        "Dir::State": root / "state",
        "Dir::State::Lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::Cache": root / "cache",
        "Dir::Etc::sourcelist": root / "peer.sources",
        "Dir::Etc::sourceparts": "-",
        "Acquire::Languages": "none",
        "Acquire::http::Timeout": 30,
        "Acquire::Retries": 2,
        "APT::Sandbox::User": "root",
        "APT::Get::AllowUnauthenticated": "false",
        "Debug::NoLocking": "true",
    }
    return [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]


def _debian_mirror() -> tuple[str, str]:
    """Address and keyring of the archive that this machine's apt gets Debian itself from."""
    try:
        release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.MULTILINE))
    except OSError:
        release = {}
    if release.get("ID") != "debian":
        raise NotToBeHadError(f"this machine is not Debian. {ADVICE}")
    suites = {release.get("VERSION_CODENAME", ""), "stable", "testing", "unstable", SUITE}
    for uri, entry_suites, signed_by in _apt_sources():
        if suites & set(entry_suites) and "debian" in uri and "security" not in uri:
            return uri, signed_by
    raise NotToBeHadError(f"the apt sources of this machine name no Debian archive. {ADVICE}")


def _apt_sources() -> Iterator[tuple[str, list[str], str]]:
    """Address, suites and keyring of every binary source, from both of apt's file formats."""
    etc = Path("/etc/apt")
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            lines = [line for line in stanza.splitlines() if not line.startswith("#")]
            fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
            if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes") != "no":
                for uri in fields.get("uris", "").split():
                    yield uri, fields.get("suites", "").split(), fields.get("signed-by", "")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        if not path.exists():
            continue
        for line in path.read_text().splitlines():
            match = re.match(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)", line)
            if match:
                keyring = re.search(r"signed-by=(\S+)", match[1] or "")
                yield match[2], [match[3]], keyring[1] if keyring else ""


def _command(unpacked: Path) -> tuple[str, ...]:
    """How to start the unpacked program: through its own loader, with its own libraries."""
    program = unpacked / "usr/bin/bitcoind"
    loaders = [path for path in unpacked.glob("**/ld-linux*.so*") if path.is_file()]
    libraries = sorted({str(path.parent) for name in ("libc.so.6", "libstdc++.so.6") for path in unpacked.glob(f"**/{name}")})
    if not program.is_file() or not loaders or not libraries:
        raise NotToBeHadError(f"{unpacked} does not hold bitcoind and its loader: remove it and try again")
    return (str(loaders[0]), "--library-path", ":".join(libraries), str(program))


def _version_of(command: tuple[str, ...], deadline: float) -> str:
    lines = run([*command, "--version"], Path.cwd(), deadline).splitlines()
    return lines[0] if lines else "unknown"


def run(command: list[str], folder: Path, deadline: float) -> str:
    """What a command of a set-up prints. Raises NotToBeHadError where it fails or the set-up takes too long."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=max(1.0, deadline - time.monotonic()),
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise NotToBeHadError(f"the set-up took longer than {TIMEOUT_S} s, in {command[0]}. {ADVICE}") from error
    except OSError as error:
        raise NotToBeHadError(f"{command[0]} could not be started: {error}. {ADVICE}") from error
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-400:]
        raise NotToBeHadError(f"{Path(command[0]).name} ended with {done.returncode}: {said} {ADVICE}")
    return done.stdout


def main() -> int:
    """Set bitcoind up and print its version and command; exit 1 with a sentence where it cannot be had."""
    try:
        found = obtain()
    except NotToBeHadError as error:
        print(error, file=sys.stderr)
        return 1
    print(found.version)
    print(" ".join(found.command))
    return 0


if __name__ == "__main__":
    sys.exit(main())
