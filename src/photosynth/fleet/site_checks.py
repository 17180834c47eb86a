"""What holds between the parts of one site: names that clash, references that lead nowhere, workers that collide."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from photosynth.drivers import D
from photosynth.energy.source_kind import SOURCES
from photosynth.fleet.machines import machine_ids
from photosynth.fleet.plain import at, dangling, did_you_mean, each, repeated, texts
from photosynth.fleet.problems import Finding, Path, path_text
from photosynth.fleet.yaml_source import Value
from photosynth.miners.driver import MACHINES
from photosynth.quantities.balance import ROLES
from photosynth.registry import Registry, RegistryError
from photosynth.stratum.names import MAX_WORKER_NAME

_LISTS_WITH_IDS: tuple[tuple[Path, str], ...] = (
    (("sources",), "source"),
    (("loads",), "load"),
    (("meters",), "meter"),
    (("machines", "models"), "model"),
    (("machines", "groups"), "group"),
)
LISTS_WITH_PARTY: tuple[Path, ...] = (("sources",), ("loads",), ("meters",), ("machines", "groups"))
_YEARS = range(1980, 2200)
"""Where calendars, time zones and the sun can be computed with; instants are counted from 1970 on."""


def check_site(root: Value, under: Path) -> Iterator[Finding]:
    """Every mistake between the parts of a site, whose values stand at the path ``under``."""
    for path, kind in _LISTS_WITH_IDS:
        yield from repeated(root, path, "id", kind, under)
    yield from repeated(root, ("market", "import"), "name", "price component", under)
    yield from repeated(root, ("machines", "habits"), "machine", "habit of machine", under)
    groups: list[tuple[Path, Value]] = [
        ((*where, "model"), item.get("model")) for where, item in each(root, ("machines", "groups"), under)
    ]
    yield from dangling(groups, texts(root, ("machines", "models"), "id"), "model", "machines.models")
    yield from _machines(root, under)
    yield from _not_simulated(root, under)
    yield from _meter_roles(root, under)
    yield from _start(root, under)
    yield from _components(root, under)


def _machines(root: Value, under: Path) -> Iterator[Finding]:
    owners: dict[str, Path] = {}
    simulated: set[str] = set()
    workers: dict[str, Path] = {}
    seen_groups: set[str] = set()
    for where, group in each(root, ("machines", "groups"), under):
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
    for where, habit in each(root, ("machines", "habits"), under):
        named = habit.get("machine")
        if not isinstance(named, str):
            continue
        if named not in owners:
            mend = did_you_mean(named, list(owners), "Name a machine of a group, like hall-a-01")
            yield Finding((*where, "machine"), f"no machine is called {named[:40]}", mend)
        elif named not in simulated:
            yield Finding((*where, "machine"), f"{named} is a real machine, which has habits of its own", "Remove the habit")


def _not_simulated(root: Value, under: Path) -> Iterator[Finding]:
    """What shall be simulated, and nothing simulates it."""
    for where, group in each(root, ("machines", "groups"), under):
        driver = _driver(MACHINES, group.get("driver"))
        if driver is not None and not driver.simulated and not group.get("addresses"):
            mend = "Add `addresses:` with the host and port of each machine"
            what = f"nothing simulates machines of the driver {driver.name}, and it has no addresses of real ones"
            yield Finding((*where, "driver"), what, mend)
    for where, source in each(root, ("sources",), under):
        kind = _driver(SOURCES, source.get("kind"))
        if kind is not None and not kind.simulated:
            mend = f"Write one of {', '.join(found.name for found in SOURCES.usable() if found.simulated)}"
            yield Finding((*where, "kind"), f"nothing simulates a source of the kind {kind.name}", mend)


def _driver(registry: Registry[D], name: Value) -> D | None:
    try:
        return registry.get(name) if isinstance(name, str) else None
    except RegistryError:
        return None  # which is told where the part is read


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
            key = "worker" if "worker" in group else "id"
            yield Finding(
                (*where, key), f"{machine} would mine as {name[:60]}, as does one of {path_text(seen[name])}", "Rename it"
            )
            return
        seen[name] = where


def _meter_roles(root: Value, under: Path) -> Iterator[Finding]:
    if not isinstance(at(root, ("meters",)), tuple):
        return
    seen: dict[str, str] = {}
    for where, meter in each(root, ("meters",), under):
        role = meter.get("role")
        if isinstance(role, str) and role in ROLES:
            if role in seen:
                yield Finding((*where, "role"), f"the role {role} is already measured by {seen[role]}", "Keep one meter per role")
            seen.setdefault(role, str(meter.get("id"))[:40])
    missing = [role for role in ROLES if role not in seen]
    if missing:
        yield Finding((*under, "meters"), f"nothing measures {', '.join(missing)}", "Add a meter of each role", at_key=True)


def _start(root: Value, under: Path) -> Iterator[Finding]:
    start, zone = at(root, ("simulation", "start")), at(root, ("zone",))
    try:
        if datetime.fromisoformat(str(start)).year not in _YEARS:
            mend = f"Write a year from {_YEARS.start} to {_YEARS.stop - 1}"
            yield Finding(
                (*under, "simulation", "start"), f"{str(start)[:40]} is outside the time that sun and prices are known for", mend
            )
            return
        local = datetime.fromisoformat(str(start)).replace(tzinfo=ZoneInfo(str(zone)))
        back = local.astimezone(UTC).astimezone(local.tzinfo)
    except (ValueError, OSError, KeyError, OverflowError):
        return
    if back.replace(tzinfo=None) != local.replace(tzinfo=None):
        yield Finding(
            (*under, "simulation", "start"), f"{start} is skipped by {zone} when clocks go forward", "Choose another hour"
        )


def _components(root: Value, under: Path) -> Iterator[Finding]:
    for where, item in each(root, ("market", "import"), under):
        if item.get("name") == "spot":
            yield Finding(
                (*where, "name"), "spot is the market's own price, which every other component is added to", "Rename it"
            )
