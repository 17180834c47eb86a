"""A fleet file of several: sections join in order, and every mistake is named in the file where it stands."""

import os
from pathlib import Path

import pytest

from photosynth.fleet import FleetFileError, Problem, include, load_fleet, yaml_source

EXAMPLE = Path(__file__).parents[3] / "examples" / "backnang.yaml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
SITE = TEXT[TEXT.index("sites:") : TEXT.index("nodes:\n")]
REST = TEXT[: TEXT.index("sites:")] + TEXT[TEXT.index("nodes:\n") :]


def node(name: str) -> str:
    return f"  - {{id: {name}, network: bitcoin, chain: regtest, role: full, run: embedded}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example in two files: the site in one of its own."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "backnang.yaml").write_text(SITE)
    (tmp_path / "fleet.yaml").write_text(REST + "include: [sites/*.yaml]\n")
    return tmp_path


def problems_of(folder: Path) -> list[Problem]:
    with pytest.raises(FleetFileError) as caught:
        load_fleet(folder / "fleet.yaml")
    return list(caught.value.problems)


def test_the_example_in_two_files_is_the_example(folder: Path) -> None:
    assert load_fleet(folder / "fleet.yaml").model_dump(exclude={"include"}) == load_fleet(EXAMPLE).model_dump(
        exclude={"include"}
    )


def test_lists_come_after_the_files_own_in_the_order_of_names_and_of_include(folder: Path) -> None:
    (folder / "b.yaml").write_text("nodes:\n" + node("from-b"))
    (folder / "a.yaml").write_text("nodes:\n" + node("from-a") + "include: [deeper/c.yaml]\n")
    (folder / "deeper").mkdir()
    (folder / "deeper" / "c.yaml").write_text("nodes:\n" + node("from-c"))
    (folder / "fleet.yaml").write_text(REST + "include: [sites/*.yaml, '[ab].yaml']\n")
    assert [item.id for item in load_fleet(folder / "fleet.yaml").nodes] == ["btc-1", "from-a", "from-c", "from-b"]


def test_a_mistake_stands_in_its_own_file(folder: Path) -> None:
    site = folder / "sites" / "backnang.yaml"
    site.write_text(
        SITE.replace("connection: 400 kW", "connection: 400").replace("guard: 5 kW", "guard: 5 kW\n      guard: 6 kW")
    )
    (folder / "fleet.yaml").write_text(REST.replace("speed: 60", "sped: 60") + "include: [sites/*.yaml]\n")
    found = [(Path(p.file).name, p.path, p.line) for p in problems_of(folder)]
    connection = next(n for n, line in enumerate(site.read_text().splitlines(), 1) if "connection:" in line)
    guard = next(n for n, line in enumerate(site.read_text().splitlines(), 1) if "guard: 6" in line)
    assert found == [
        ("fleet.yaml", "clock.sped", 6),
        ("backnang.yaml", "sites[1].grid.connection", connection),
        ("backnang.yaml", "sites[1].grid.guard", guard),
    ]


def test_a_value_in_two_files_is_a_mistake_in_the_second(folder: Path) -> None:
    (folder / "more.yaml").write_text(
        "# more\nversion: 2\nclock: {speed: 60}\nconsole: {}\nparties: [{id: client, name: A client}]\n"
    )
    (folder / "fleet.yaml").write_text(REST + "include: [sites/*.yaml, more.yaml]\n")
    problems = problems_of(folder)
    assert [(Path(p.file).name, p.line, p.path) for p in problems] == [
        ("more.yaml", 2, "version"),
        ("more.yaml", 3, "clock.speed"),
    ]
    assert "fleet.yaml, line 4" in problems[0].what


def test_a_name_in_two_files_is_a_clash(folder: Path) -> None:
    (folder / "sites" / "copy.yaml").write_text(SITE.replace("127.0.0.1:3333", "127.0.0.1:3334"))
    (problem,) = problems_of(folder)
    assert (Path(problem.file).name, "backnang is there already as sites[1]" in problem.what) == ("copy.yaml", True)


@pytest.mark.parametrize(
    ("include", "what"),
    [
        ("nowhere.yaml", "no file is called nowhere.yaml"),
        ("/etc/passwd", "not a usable pattern"),
        ("'**/*.yaml'", "not a usable pattern"),
        ("'a\\0'", "no file is called"),
        ("fleet.yaml", "is read already"),
        ("sites", "cannot be read"),
        ("broken.yaml", "not valid YAML"),
        ("list.yaml", "is not a mapping of sections"),
        ("[sites]", "not a text"),
    ],
)
def test_what_cannot_be_included_is_named_at_its_place(folder: Path, include: str, what: str) -> None:
    (folder / "broken.yaml").write_text("sites: [\n")
    (folder / "list.yaml").write_text("- a\n")
    (folder / "fleet.yaml").write_text(REST + f"include: [sites/*.yaml, {include}]\n")
    (problem,) = problems_of(folder)
    assert what in problem.what
    assert Path(problem.file).name == ("broken.yaml" if include == "broken.yaml" else "fleet.yaml")
    assert problem.how_to_mend


def test_a_circle_ends(folder: Path) -> None:
    (folder / "a.yaml").write_text("include: [b.yaml]\n")
    (folder / "b.yaml").write_text("include: [a.yaml, fleet.yaml]\n")
    (folder / "fleet.yaml").write_text(REST + "include: [sites/*.yaml, a.yaml]\n")
    problems = problems_of(folder)
    assert [("is read already" in p.what, Path(p.file).name) for p in problems] == [(True, "b.yaml")] * 2


def test_files_are_bounded_in_number_and_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (include.MOST_FILES, yaml_source.MOST_VALUES) == (200, 50_000)
    monkeypatch.setattr(include, "MOST_FILES", 20)
    for number in range(21):
        (folder / f"n{number:03}.yaml").write_text("nodes:\n" + node(f"n-{number}"))
    (folder / "fleet.yaml").write_text(REST + "include: [sites/*.yaml, 'n*.yaml']\n")
    assert {p.what for p in problems_of(folder)} == {"more than 20 files are included"}
    for path in folder.glob("n*.yaml"):
        path.unlink()
    monkeypatch.setattr(include, "MOST_VALUES", 1500)
    for number in range(3):
        (folder / f"n{number}.yaml").write_text("parties: [" + "a, " * 600 + "b]\n")
    assert any("more than 1500 values together" in p.what for p in problems_of(folder))


def test_a_link_in_a_circle_is_a_mistake_at_the_line_that_includes_it(folder: Path) -> None:
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "fleet.yaml").write_text(REST + "include: [sites/*.yaml, 'lo*.yaml']\n")
    (problem,) = problems_of(folder)
    assert (Path(problem.file).name, "loop.yaml cannot be read" in problem.what) == ("fleet.yaml", True)


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "sites" / "pipe.yaml")
    (problem,) = problems_of(folder)
    assert problem.what.endswith("pipe.yaml cannot be read: it is no file")


def test_a_value_in_three_files_is_a_mistake_in_the_second_and_in_the_third(folder: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (folder / name).write_text("clock: {speed: 60}\n")
    (folder / "fleet.yaml").write_text(REST + "include: [sites/*.yaml, a.yaml, b.yaml]\n")
    assert [(Path(p.file).name, p.path) for p in problems_of(folder)] == [("a.yaml", "clock.speed"), ("b.yaml", "clock.speed")]


def test_a_key_given_three_times_is_two_mistakes(folder: Path) -> None:
    (folder / "fleet.yaml").write_text(REST + "include: [sites/*.yaml]\nclock: {}\nclock: {}\n")
    assert [p.what.startswith("the key is given twice") for p in problems_of(folder)] == [True, True]
