"""Looking around in the plain values of a fleet file, where mistakes are found although other parts are wrong."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import cast

from photosynth.fleet.problems import Finding, Path, path_text
from photosynth.fleet.yaml_source import Value


def did_you_mean(word: str, known: list[str], otherwise: str) -> str:
    """A mend that names the closest known word, or says otherwise."""
    close = get_close_matches(word[:60], known, n=1, cutoff=0.6)
    return f"Perhaps `{close[0]}` is meant" if close else otherwise


def at(root: Value, path: Path) -> Value:
    """What stands at a path of keys, None where nothing does."""
    for part in path:
        root = root.get(cast("str", part)) if isinstance(root, dict) else None
    return root


def each(root: Value, path: Path, under: Path = ()) -> Iterator[tuple[Path, dict[str, Value]]]:
    """The mappings of a list, each with its path below ``under``."""
    items = at(root, path)
    for number, item in enumerate(items if isinstance(items, tuple) else ()):
        if isinstance(item, dict):
            yield (*under, *path, number), item


def texts(root: Value, path: Path, key: str) -> list[str]:
    """What the mappings of a list say of a key."""
    return [value for _, item in each(root, path) if isinstance(value := item.get(key), str)]


def repeated(root: Value, path: Path, key: str, kind: str, under: Path = ()) -> Iterator[Finding]:
    """A mistake for every name that a list gives twice."""
    seen: dict[str, Path] = {}
    for where, item in each(root, path, under):
        name = item.get(key)
        if not isinstance(name, str):
            continue
        if name in seen:
            yield Finding(
                (*where, key), f"the {kind} {name[:40]} is there already as {path_text(seen[name])}", "Give it another name"
            )
        else:
            seen[name] = where


def dangling(places: list[tuple[Path, Value]], known: list[str], kind: str, where: str) -> Iterator[Finding]:
    """A mistake for every name that leads nowhere."""
    for path, name in places:
        if isinstance(name, str) and name not in known:
            otherwise = f"Declare it under {where}" + (f"; declared are {', '.join(known[:8])}" if known else "")
            yield Finding(path, f"no {kind} is called {name[:40]}", did_you_mean(name, known, otherwise))
