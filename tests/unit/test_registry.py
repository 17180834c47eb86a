"""What goes by a name is found by it, and what another package announces and does not give is a problem of those who name it."""

import asyncio
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator, model_validator

from photosynth.drivers import Driver
from photosynth.energy.meter_driver import METERS
from photosynth.energy.source_kind import SOURCES, SourceKind, SourceSettings
from photosynth.fleet import FleetFileError, load_fleet, parse_fleet
from photosynth.fleet.schema import fleet_schema
from photosynth.miners.driver import MACHINES, MachineAccess, MachineDriver
from photosynth.miners.machine import Machine
from photosynth.registry import Registry, RegistryError
from photosynth.settings.part import Part
from photosynth.settings.units import PositiveSeconds, PositiveWatts
from photosynth.settings.values import FilePath

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = (EXAMPLES / "backnang.yaml").read_text(encoding="utf-8")
GROUP = "driver: acme, addresses: ['127.0.0.1:4028', '127.0.0.1:4029']"
YARD = f"        - {{id: yard, model: s21, count: 2, party: factory, {GROUP}}}\n"


class AcmeSettings(Part):
    """What Acme's machines are told."""

    token_file: FilePath
    """File that holds the token that lets us in."""
    patience_s: PositiveSeconds = 5
    """How long an answer may take."""


class Colliding(Part):
    """A setting that is every group's."""

    party: str = ""
    """Whose it is."""


def _broken(value: object) -> int:
    raise SystemExit(0) if value == 2 else KeyError("token")


class Strange(Part):
    """A setting whose reading fails."""

    token: Annotated[int, BeforeValidator(_broken)]
    """Lets us in."""


class Becoming(Part):
    """Settings that become something else when they are judged."""

    @model_validator(mode="wrap")
    @classmethod
    def _become(cls, value: object, handler: object) -> Any:
        return "something else"


class Cancelling(Part):
    """Settings that cancel whoever judges them."""

    @model_validator(mode="before")
    @classmethod
    def _cancel(cls, value: object) -> Any:
        raise asyncio.CancelledError


class Renaming(Part):
    """Settings that make another group's machines of these."""

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, value: Any) -> Any:
        return {**value, "id": "hall-a"}


class Childless(Part):
    """Settings that let nothing be made of them."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        raise KeyError("no heirs")


class SpeechlessError(Exception):
    """One that does not say what it is."""

    def __str__(self) -> str:
        raise KeyError("words")


class Hiding(MachineDriver):
    """A driver that does not let itself be asked."""

    def __getattribute__(self, name: str) -> Any:
        if name in object.__getattribute__(self, "title"):
            raise KeyError(name)
        return super().__getattribute__(name)


def __getattr__(name: str) -> Any:
    """What is raised when a package's module is asked for what it announces."""
    raised: dict[str, BaseException] = {
        "SPEECHLESS": SpeechlessError(),
        "CANCELLED": asyncio.CancelledError(),
        "LEAVING": GeneratorExit(),
        "TALKATIVE": ValueError("x" * 1_000_000 + "\x1b[2J"),
    }
    raise raised.get(name, AttributeError(name))


class Dam(SourceSettings):
    """A dam."""

    head_w: PositiveWatts
    """What it makes."""


def _no_machine(at: MachineAccess, settings: Any) -> Machine:
    raise KeyError(at.id)


def _acme(**other: Any) -> MachineDriver:
    said: dict[str, Any] = {"name": "acme", "title": "Acme", "tier": "specification", "open": _broken}
    return MachineDriver(**said | other)


ACME, OTHER = _acme(settings=AcmeSettings), _acme()
COLLIDES, TIERLESS, CLOSED = _acme(settings=Colliding), _acme(tier="hearsay"), _acme(open=None)
UNSET, UNTITLED, STRANGE = _acme(settings=dict), _acme(title=""), _acme(settings=Strange)
BECOMING, CANCELLING, CHILDLESS = _acme(settings=Becoming), _acme(settings=Cancelling), _acme(settings=Childless)
RENAMING = _acme(settings=Renaming)
NAMELESS, TIERS = (Hiding(name="acme", title=what, tier="specification", open=_no_machine) for what in ("name", "tier"))
PLAIN = Driver(name="acme", title="Acme", tier="specification")
DAM = SourceKind(name="dam", title="A dam", tier="specification", settings=Dam)


def announce(registry: Registry[Any], monkeypatch: pytest.MonkeyPatch, *values: str, name: str = "acme") -> None:
    """Let packages announce something under a name, for as long as a test takes."""
    points = tuple(EntryPoint(name, value, registry.group) for value in values)
    monkeypatch.setattr(registry, "_announced", lambda: points)
    monkeypatch.setattr(registry, "_loaded", {})


def problems(text: str) -> list[str]:
    with pytest.raises(FleetFileError) as refused:
        parse_fleet(text.encode(), "fleet.yaml", EXAMPLES)
    return [str(problem) for problem in refused.value.problems]


def with_yard(group: str = YARD) -> str:
    return TEXT.replace("      habits:", group + "      habits:", 1)


def test_a_driver_of_another_package_is_held_to_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:ACME")
    text = with_yard(YARD.replace("party: factory", "party: factory, token_file: acme.token, patience: 9 s"))
    spec = parse_fleet(text.encode(), "x", EXAMPLES).sites[0].machine_specs()[-1]
    assert isinstance(spec.settings, AcmeSettings)
    assert (spec.id, spec.driver, spec.settings.patience_s) == ("yard-02", "acme", 9)
    assert spec.settings.token_file == EXAMPLES / "acme.token"
    line = with_yard().splitlines().index(YARD.rstrip("\n")) + 1
    assert problems(with_yard()) == [
        f"fleet.yaml:{line}:11: sites[1].machines.groups[4].token_file: it is missing. Add `token_file:`."
    ]
    told = problems(text.replace("patience: 9 s", "patience: 9 W, pacience: 1 s"))
    assert len(told) == 2
    assert "groups[4].patience: W is not a unit of a time. W measures a power: write s, min, h, d" in told[0]
    assert f"fleet.yaml:{line}:" in told[1]
    assert "groups[4].pacience: this key is not known. Perhaps `patience` is meant." in told[1]


def test_the_schema_lists_the_settings_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:ACME")
    groups = [part["properties"] for part in fleet_schema()["$defs"].values() if "addresses" in part.get("properties", {})]
    assert {group["driver"]["enum"][0] for group in groups} == {"luxos", "acme"}
    (acme,) = (group for group in groups if group["driver"]["enum"] == ["acme"])
    assert acme["patience"]["description"] == "How long an answer may take."
    assert "token_file" not in next(group for group in groups if group is not acme)


def test_a_name_that_nobody_has_is_told_with_those_that_are_known_and_how_another_comes() -> None:
    (problem,) = problems(TEXT.replace("driver: luxos", "driver: whatsminer", 1))
    assert (
        "sites[1].machines.groups[1].driver: `whatsminer` is not known here as a driver of machines; it takes one of luxos"
        in problem
    )
    assert "install a package that announces it in the group photosynth.machines into this environment: pip install" in problem
    (problem,) = problems(TEXT.replace("driver: luxos", "driver: luxus", 1))
    assert "Perhaps `luxos` is meant; for another, install a package" in problem
    (problem,) = problems(TEXT.replace("kind: synthetic", "kind: smard", 1))
    assert "sites[1].market.kind: `smard` is not known here as a kind of market; it takes one of synthetic" in problem
    (problem,) = problems(TEXT.replace("role: import,", "role: import, driver: modbus,", 1))
    assert ".driver: `modbus` is not known here as a driver of meters; it takes one of simulated" in problem


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("PLAIN", "is no photosynth.miners.driver.MachineDriver of that name"),
        ("TIERLESS", "its tier is none of"),
        ("CLOSED", "its open cannot be called"),
        ("UNSET", "its settings are no photosynth.settings.part.Part"),
        ("UNTITLED", "it has no title"),
        ("COLLIDES", "has a setting `party`, which every part of its kind has already"),
        ("NOTHING", "cannot be loaded: AttributeError"),
    ],
)
def test_what_is_announced_and_not_given_is_one_problem_where_it_is_named_and_none_elsewhere(
    monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:{value}")
    (problem,) = problems(with_yard())
    assert "sites[1].machines.groups[4].driver: " in problem
    assert why in problem
    assert "Mend or remove that package" in problem
    assert load_fleet(EXAMPLES / "backnang.yaml").sites
    assert "acme" not in str(fleet_schema()["$defs"])


def test_a_package_that_raises_while_it_is_imported_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "exits_at_once.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(str(tmp_path))
    announce(METERS, monkeypatch, "exits_at_once:DRIVER")
    with pytest.raises(RegistryError, match=r"the entry point acme = exits_at_once:DRIVER .* cannot be loaded: SystemExit"):
        METERS.get("acme")
    assert [problem for problem in METERS.problems() if "SystemExit" in problem]
    assert [driver.name for driver in METERS.usable()] == ["simulated"]


def test_two_packages_with_one_name_are_told_apart_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:ACME", f"{__name__}:OTHER")
    with pytest.raises(RegistryError, match=r"acme = .*:ACME .* has the same name as acme = .*:OTHER of another package"):
        MACHINES.get("acme")
    announce(MACHINES, monkeypatch, f"{__name__}:ACME", f"{__name__}:ACME")
    assert MACHINES.get("acme") is ACME, "the same package found twice on the path"


def test_nobody_takes_the_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:ACME", name="luxos")
    assert MACHINES.need("luxos").title.startswith("LuxOS")
    assert MACHINES.installed() == ("luxos",)


def test_settings_that_fail_in_another_way_than_they_may_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:STRANGE")
    for token, error in ((1, "KeyError: 'token'"), (2, "SystemExit: 0")):
        (problem,) = problems(with_yard(YARD.replace("party: factory", f"party: factory, token: {token}")))
        assert f"the settings of `acme` failed in a way that they must not: {error}" in problem


def test_what_nothing_simulates_is_refused_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:OTHER")
    text = with_yard(YARD.replace(", addresses: ['127.0.0.1:4028', '127.0.0.1:4029']", ""))
    (problem,) = problems(text)
    assert "groups[4].driver: nothing simulates machines of the driver acme" in problem
    assert "Add `addresses:`" in problem


def test_a_source_that_nothing_simulates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    announce(SOURCES, monkeypatch, f"{__name__}:DAM", name="dam")
    dam = "      - {id: dam, kind: dam, party: factory, head: 5 kW}\n"
    (problem,) = problems(TEXT.replace("    sources:\n", "    sources:\n" + dam, 1))
    assert "sites[1].sources[1].kind: nothing simulates a source of the kind dam. Write one of photovoltaic, wind." in problem


@pytest.mark.parametrize("value", ["SPEECHLESS", "CANCELLED", "LEAVING", "TALKATIVE", "NAMELESS", "TIERS"])
def test_what_a_package_does_when_it_is_asked_for_its_driver_is_a_problem_in_few_words(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:{value}")
    (problem,) = MACHINES.problems()
    assert problem.startswith(f"the entry point acme = {__name__}:{value} of the group photosynth.machines")
    assert len(problem) < 1000
    assert problem.isprintable()
    (told,) = problems(with_yard())
    assert problem in told
    assert fleet_schema()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("BECOMING", "become a str"),
        ("CANCELLING", "CancelledError"),
        ("CHILDLESS", "KeyError: 'no heirs'"),
        ("RENAMING", "change `id`, which is not theirs"),
    ],
)
def test_what_settings_do_when_they_are_judged_is_a_problem(value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(MACHINES, monkeypatch, f"{__name__}:{value}")
    (told,) = problems(with_yard())
    assert ".driver: " in told
    assert why in told
    assert fleet_schema()
