"""What the pages tell a reader to type exists, and their links lead somewhere."""

import re
from pathlib import Path

import pytest
import typer

from photosynth.cli.app import app

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def commands() -> dict[str, set[str]]:
    """Every command with its options."""
    found: dict[str, set[str]] = {}

    def visit(path: str, command: object) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            visit(f"{path} {name}".strip(), inner)
        if not hasattr(command, "commands"):
            found[path] = {option for parameter in getattr(command, "params", ()) for option in parameter.opts}

    visit("", typer.main.get_command(app))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page: Path) -> None:
    """Every `photosynth` line in a block of code is a command with options that it has."""
    known = commands()
    for block in re.findall(r"```(?:sh)?\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in re.findall(r"^(?:\.venv/bin/)?photosynth (.*?)(?:#.*|[|>].*)?$", block, re.MULTILINE):
            words = line.split()
            path = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
            assert path in known, line
            assert {word for word in words if word.startswith("--")} <= known[path] | {"--help"}, line
