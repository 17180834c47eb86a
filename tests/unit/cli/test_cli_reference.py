"""The committed reference is what the models say, and every field of the fleet file is explained."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from photosynth.cli.errors import ExitCode
from photosynth.cli.reference import pages
from photosynth.treasury.evidence.report import VerifyReport

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", ["fleet-file.md", "command-line.md", "documents.md", "metrics.md"])
def test_reference_is_up_to_date(name: str) -> None:
    """`make reference` would change nothing."""
    assert (REFERENCE / name).read_text(encoding="utf-8") == pages()[name], "run `make reference` and commit what it writes"


def test_units_are_in_the_reference() -> None:
    """What a quantity may be written in stands beside it."""
    text = pages()["fleet-file.md"]
    assert "| `connection` | a power in W, kW, MW, GW, like `400 kW` | yes |" in text
    assert "`sites[].machines.groups[]`" in text


@pytest.mark.parametrize("example", sorted((REFERENCE.parents[1] / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_key_of_an_example_is_in_the_reference(example: Path) -> None:
    """Each key stands in the table of its section."""
    sections: dict[str, str] = {}
    for part in pages()["fleet-file.md"].split("\n## ")[1:]:
        title, _, table = part.partition("\n")
        sections[title.strip("`")] = table
    named = {"endpoints", "ports"}  # mappings whose keys a network gives

    def visit(path: str, value: object) -> None:
        if isinstance(value, dict) and path.rpartition(".")[2] not in named:
            for key, inner in value.items():
                assert f"| `{key}` |" in sections[path or "The whole file"], f"{path}.{key}"
                visit(f"{path}.{key}".lstrip("."), inner)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for inner in value:
                visit(f"{path}[]", inner)

    visit("", YAML(typ="safe").load(example.read_text(encoding="utf-8")))


def test_the_verifiers_report_is_explained() -> None:
    """Every member that it prints is in its table."""
    table = pages()["documents.md"].split("`photosynth verify --json`")[-1]
    for name in VerifyReport("f", is_evidence=True, holds=True).document():
        assert f"| `{name}` |" in table


def test_nothing_depends_on_the_terminal_or_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A narrow terminal, another language and another home give the same pages, which name no folder of this machine."""
    before = pages()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("HOME", "/nowhere")
    assert pages() == before
    assert str(Path.home()) not in "".join(before.values())
    assert str(REFERENCE.parents[1]) not in "".join(before.values())


def test_every_exit_code_is_explained() -> None:
    """The table of exit codes is whole."""
    table = pages()["command-line.md"].split("\n## ")[0]
    assert [int(line.split("|")[1]) for line in table.splitlines() if line[:3].strip("| ").isdigit()] == [*ExitCode]
