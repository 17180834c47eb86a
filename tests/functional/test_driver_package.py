"""A driver of machines that another package announces: named in a fleet file, in operation beside ours, and broken mid-stop."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.functional.running_site import COMMAND, EXAMPLES, RunningSite

DRIVER = '''
"""Machines of Acme, which this test makes up: they hash until they are told to sleep, which the second cannot be told."""

from photosynth.miners.driver import MachineDriver
from photosynth.miners.machine import Answer, MachineReading
from photosynth.settings.part import Part
from photosynth.settings.units import PositiveWatts


class Settings(Part):
    """What Acme's machines are told."""

    draw_w: PositiveWatts
    """What one of them draws when awake."""


class Machine:
    def __init__(self, at, settings):
        self.id, self.site_ms, self.draw_w, self.awake = at.id, at.site_ms, settings.draw_w, True

    async def read(self, full=False):
        hash_rate_hs = 200 * 10**12 if self.awake else 0
        return MachineReading(self.site_ms(), self.draw_w if self.awake else 20, hash_rate_hs, temperature_c=51)

    async def sleep(self):
        if self.id.endswith("-02"):
            raise KeyError("session")
        self.awake = False
        return Answer(True, "good night")

    async def wake(self):
        self.awake = True
        return Answer(True, "good morning")

    async def close(self):
        pass


DRIVER = MachineDriver(name="acme", title="Acme, as a test makes it up", tier="specification", settings=Settings, open=Machine)
'''


def installed(folder: Path) -> str:
    """A package as an installer leaves it in a folder; the PYTHONPATH on which it is found."""
    described = folder / "photosynth_acme-1.0.dist-info"
    described.mkdir(parents=True)
    (folder / "photosynth_acme.py").write_text(DRIVER)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: photosynth-acme\nVersion: 1.0\n")
    points = "acme = photosynth_acme:DRIVER\nrotten = photosynth_acme:NOTHING\n"
    (described / "entry_points.txt").write_text(f"[photosynth.machines]\n{points}")
    path = os.environ.get("PYTHONPATH")
    return f"{folder}{os.pathsep}{path}" if path else str(folder)


def test_a_driver_of_somebody_else_is_used_and_its_fault_in_a_stop_is_its_machines_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = tmp_path / "fleet.yaml"
    addresses = "addresses: ['127.0.0.1:4028', '127.0.0.1:4029', '127.0.0.1:4030']"
    yard = f"        - {{id: yard, model: s21, count: 3, party: factory, driver: acme, draw: 3500 W, {addresses}}}\n"
    text = (EXAMPLES / "backnang.yaml").read_text()
    text = "".join(line for line in text.splitlines(keepends=True) if "habit: " not in line).replace("count: 36", "count: 2")
    text = text.replace("count: 34", "count: 2").replace("count: 32", "count: 2")
    before, _, after = text.partition("      habits:")
    fleet.write_text(f"{before}{yard}{after[after.index(chr(10)) + 1 :]}")

    def said(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)

    unknown = said("fleet", "check", str(fleet))
    assert unknown.returncode == 2
    line = next(number for number, one in enumerate(fleet.read_text().splitlines(), start=1) if "acme" in one)
    column = yard.index("acme") + 1
    assert f"{fleet}:{line}:{column}: sites[1].machines.groups[4].driver: `acme` is not known here" in unknown.stderr
    assert "it takes one of luxos" in unknown.stderr
    assert "pip install" in unknown.stderr
    monkeypatch.setenv("PYTHONPATH", installed(tmp_path / "site-packages"))
    known = said("fleet", "check", str(fleet))
    assert (known.returncode, "9 machines" in known.stdout) == (0, True), known.stderr
    fleet.write_text(fleet.read_text().replace("draw: 3500 W", "draw: 3500"))
    wrong = said("fleet", "check", str(fleet))
    assert wrong.returncode == 2
    assert f"{fleet}:{line}:" in wrong.stderr
    assert "groups[4].draw: a power has no unit. Write `3500 kW` or another of W" in wrong.stderr
    fleet.write_text(fleet.read_text().replace("draw: 3500", "draw: 3500 W"))
    schema = said("fleet", "schema")
    assert "Left out: the entry point rotten = photosynth_acme:NOTHING of the group photosynth.machines" in schema.stderr
    parts = [part.get("properties", {}) for part in json.loads(schema.stdout)["$defs"].values()]
    groups = [part for part in parts if "addresses" in part]
    assert [group["driver"]["enum"] for group in groups] == [["luxos"], ["acme"]]
    assert groups[1]["draw"]["description"] == "What one of them draws when awake."

    site = RunningSite(tmp_path / "state", fleet=fleet)
    try:
        site.start()

        def machines(state: str) -> set[str]:
            return {machine["id"] for machine in site.get("machines") if machine["state"] == state}

        def yards() -> dict[str, str]:
            return {machine["id"]: machine["driver"] for machine in site.get("machines") if machine["group"] == "yard"}

        site.wait_for(lambda: len(machines("running")) >= 3, "machines to run")
        assert yards() == dict.fromkeys(("yard-01", "yard-02", "yard-03"), "acme")
        site.wait_for(lambda: {"yard-01", "yard-02", "yard-03"} <= machines("running"), "the yard to be read")
        answer = site.command("stop-mining", "--reason", "test", "--json")
        assert answer.returncode == 1, answer.stderr
        action = json.loads(answer.stdout)
        assert "8 of 9 machines are asleep" in action["read_back"]
        assert machines("sleeping") == {machine["id"] for machine in site.get("machines")} - {"yard-02"}
        (broken,) = [found for found in site.conditions() if found["subject"] == "yard-02"]
        assert "has a driver that failed in a way that it must not" in broken["summary"]
        assert "KeyError: 'session'" in broken["evidence"]
        site.stop()
    finally:
        site.end()
