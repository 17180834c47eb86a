"""What holds between parts of a fleet file: names that clash, references that lead nowhere, workers that collide.

These look at the plain values and not at the models, so that they find their mistakes even where other parts are wrong.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import cast
from zoneinfo import ZoneInfo

from photosynth.fleet.machines import machine_ids
from photosynth.fleet.problems import Finding, Path, path_text
from photosynth.fleet.yaml_source import Value
from photosynth.quantities.balance import ROLES
from photosynth.stratum.names import MAX_WORKER_NAME

_LISTS_WITH_IDS: tuple[tuple[Path, str], ...] = (
    (("parties",), "party"),
    (("sources",), "source"),
    (("loads",), "load"),
    (("meters",), "meter"),
    (("machines", "models"), "model"),
    (("machines", "groups"), "group"),
)
_YEARS = range(1980, 2200)
"""Where calendars, time zones and the sun can be computed with; instants are counted from 1970 on."""
_LISTS_WITH_PARTY: tuple[Path, ...] = (("sources",), ("loads",), ("meters",), ("machines", "groups"))


def check(root: Value) -> list[Finding]:
    """Every mistake between parts."""
    return [
        *_duplicates(root),
        *_references(root),
        *_machines(root),
        *_meter_roles(root),
        *_ports(root),
        *_start(root),
        *_components(root),
    ]


def did_you_mean(word: str, known: list[str], otherwise: str) -> str:
    """A mend that names the closest known word, or says otherwise."""
    close = get_close_matches(word[:60], known, n=1, cutoff=0.6)
    return f"Perhaps `{close[0]}` is meant" if close else otherwise


def _at(root: Value, path: Path) -> Value:
    for part in path:
        root = root.get(cast("str", part)) if isinstance(root, dict) else None
    return root


def _each(root: Value, path: Path) -> Iterator[tuple[Path, dict[str, Value]]]:
    items = _at(root, path)
    for number, item in enumerate(items if isinstance(items, tuple) else ()):
        if isinstance(item, dict):
            yield (*path, number), item


def _texts(root: Value, path: Path, key: str) -> list[str]:
    return [value for _, item in _each(root, path) if isinstance(value := item.get(key), str)]


def _duplicates(root: Value) -> Iterator[Finding]:
    for path, kind in _LISTS_WITH_IDS:
        yield from _repeated(root, path, "id", kind)
    yield from _repeated(root, ("market", "import"), "name", "price component")
    yield from _repeated(root, ("machines", "habits"), "machine", "habit of machine")


def _repeated(root: Value, path: Path, key: str, kind: str) -> Iterator[Finding]:
    seen: dict[str, Path] = {}
    for where, item in _each(root, path):
        name = item.get(key)
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Finding(
                (*where, key), f"the {kind} {name[:40]} is there already as {path_text(seen[name])}", "Give it another name"
            )
        else:
            seen[name] = where


def _references(root: Value) -> Iterator[Finding]:
    parties = _texts(root, ("parties",), "id")
    models = _texts(root, ("machines", "models"), "id")
    places: list[tuple[Path, Value]] = [(("site", "operator"), _at(root, ("site", "operator")))]
    places += [((*where, "party"), item.get("party")) for path in _LISTS_WITH_PARTY for where, item in _each(root, path)]
    yield from _dangling(places, parties, "party", "parties")
    groups: list[tuple[Path, Value]] = [
        ((*where, "model"), item.get("model")) for where, item in _each(root, ("machines", "groups"))
    ]
    yield from _dangling(groups, models, "model", "machines.models")


def _dangling(places: list[tuple[Path, Value]], known: list[str], kind: str, where: str) -> Iterator[Finding]:
    for path, name in places:
        if isinstance(name, str) and name not in known:
            otherwise = f"Declare it under {where}" + (f"; declared are {', '.join(known[:8])}" if known else "")
            yield Finding(path, f"no {kind} is called {name[:40]}", did_you_mean(name, known, otherwise))


def _machines(root: Value) -> Iterator[Finding]:
    owners: dict[str, Path] = {}
    simulated: set[str] = set()
    workers: dict[str, Path] = {}
    seen_groups: set[str] = set()
    for where, group in _each(root, ("machines", "groups")):
        name, count = group.get("id"), group.get("count")
        worker: Value = group.get("worker", "{machine}")
        if not (isinstance(name, str) and isinstance(count, int) and 1 <= count <= 1000):
            continue
        names = machine_ids(name[:40], count)
        if name in seen_groups:
            continue
        seen_groups.add(name)
        clash = next((machine for machine in names if machine in owners), None)
        if clash:
            yield Finding((*where, "id"), f"its machine {clash} is also one of {path_text(owners[clash])}", "Rename the group")
        for machine in names:
            owners.setdefault(machine, where)
        if not group.get("addresses"):
            simulated.update(names)
        if isinstance(worker, str) and not clash:
            yield from _workers(where, worker, group, names, workers)
    for where, habit in _each(root, ("machines", "habits")):
        named = habit.get("machine")
        if not isinstance(named, str):
            continue
        if named not in owners:
            mend = did_you_mean(named, list(owners), "Name a machine of a group, like hall-a-01")
            yield Finding((*where, "machine"), f"no machine is called {named[:40]}", mend)
        elif named not in simulated:
            yield Finding((*where, "machine"), f"{named} is a real machine, which has habits of its own", "Remove the habit")


def _workers(where: Path, worker: str, group: dict[str, Value], names: list[str], seen: dict[str, Path]) -> Iterator[Finding]:
    if len(names) > 1 and "{machine}" not in worker:
        yield Finding(
            (*where, "worker"), f"its {len(names)} machines would all mine as {worker[:40]}", "Use {machine} in the worker's name"
        )
        return
    fixed = {key: str(group.get(key))[:40] for key in ("model", "party")} | {"group": str(group.get("id"))[:40]}
    for machine in names:
        name = worker[:1000]
        for key, value in {**fixed, "machine": machine}.items():
            name = name.replace("{" + key + "}", value)
        if len(name) > MAX_WORKER_NAME:
            what = f"{machine} would mine under a name of {len(name)} characters, and a pool takes {MAX_WORKER_NAME}"
            yield Finding((*where, "worker"), what, "Shorten the worker's name")
            return
        if name in seen:
            at = "worker" if "worker" in group else "id"
            yield Finding(
                (*where, at), f"{machine} would mine as {name[:60]}, as does one of {path_text(seen[name])}", "Rename it"
            )
            return
        seen[name] = where


def _meter_roles(root: Value) -> Iterator[Finding]:
    if not isinstance(_at(root, ("meters",)), tuple):
        return
    seen: dict[str, str] = {}
    for where, meter in _each(root, ("meters",)):
        role = meter.get("role")
        if isinstance(role, str) and role in ROLES:
            if role in seen:
                yield Finding((*where, "role"), f"the role {role} is already measured by {seen[role]}", "Keep one meter per role")
            seen.setdefault(role, str(meter.get("id"))[:40])
    missing = [role for role in ROLES if role not in seen]
    if missing:
        yield Finding(("meters",), f"nothing measures {', '.join(missing)}", "Add a meter of each role", at_key=True)


def _ports(root: Value) -> Iterator[Finding]:
    pool, console = _at(root, ("pool", "listen")), _at(root, ("console", "listen"))
    if isinstance(pool, str) and pool == console:
        yield Finding(("console", "listen"), f"the pool listens on {pool[:40]} too", "Give the console another port")


def _start(root: Value) -> Iterator[Finding]:
    start, zone = _at(root, ("simulation", "start")), _at(root, ("site", "zone"))
    try:
        if datetime.fromisoformat(str(start)).year not in _YEARS:
            mend = f"Write a year from {_YEARS.start} to {_YEARS.stop - 1}"
            yield Finding(
                ("simulation", "start"), f"{str(start)[:40]} is outside the time that sun and prices are known for", mend
            )
            return
        local = datetime.fromisoformat(str(start)).replace(tzinfo=ZoneInfo(str(zone)))
        back = local.astimezone(UTC).astimezone(local.tzinfo)
    except (ValueError, OSError, KeyError, OverflowError):
        return
    if back.replace(tzinfo=None) != local.replace(tzinfo=None):
        yield Finding(("simulation", "start"), f"{start} is skipped by {zone} when clocks go forward", "Choose another hour")


def _components(root: Value) -> Iterator[Finding]:
    for where, item in _each(root, ("market", "import")):
        if item.get("name") == "spot":
            yield Finding(
                (*where, "name"), "spot is the market's own price, which every other component is added to", "Rename it"
            )
