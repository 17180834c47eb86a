"""How commands end where something fails that nobody expected: a sentence, an exit code of its own, and the log."""

import errno
import json
import re
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import structlog
import typer
from typer.testing import CliRunner

from photosynth.cli import fleet_check
from photosynth.cli.app import app
from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.logs import configure_logs
from photosynth.cli.options import parse_day
from photosynth.cli.transfer import _write, export_file
from photosynth.cli.up import ended_by
from photosynth.storage import StorageError


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The log of a site."""
    path = tmp_path / "log.jsonl"
    configure_logs(path, to_terminal=False)
    yield path
    structlog.get_config()["logger_factory"]()._outputs[0].close()
    structlog.reset_defaults()


def caught(error: Exception) -> Exception:
    """The error as it comes out of a task of a group in a group."""
    try:
        raise ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", [error])])
    except ExceptionGroup as group:
        return group


def test_a_bug_in_a_task_of_the_site_is_a_sentence_and_a_traceback_in_the_log(log: Path) -> None:
    ended = ended_by(caught(ZeroDivisionError("division by zero")), log)
    assert ended.code is ExitCode.BUG
    assert str(ended).startswith("A mistake in Photosynth ended the fleet (ZeroDivisionError: division by zero).")
    assert "start again" in str(ended)
    (line,) = map(json.loads, log.read_text().splitlines())
    assert (line["event"], line["level"]) == ("the fleet was ended", "error")
    assert "ZeroDivisionError: division by zero" in line["exception"]


def test_what_an_operator_can_mend_is_no_bug(log: Path) -> None:
    full = ended_by(caught(StorageError("full", Path("x.sqlite3"), "the disk is full. Free some space")), log)
    assert (str(full), full.code) == ("x.sqlite3: the disk is full. Free some space.", ExitCode.UNAVAILABLE)
    assert ended_by(caught(OSError(errno.ENOSPC, "No space left on device")), log).code is ExitCode.UNAVAILABLE


def test_a_bug_in_a_command_has_an_exit_code_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(_file: Path) -> int:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(fleet_check, "check", broken)
    told = CliRunner().invoke(app, ["fleet", "check", str(tmp_path)])
    assert told.exit_code == 4
    assert "ZeroDivisionError: inside" in told.stderr
    assert told.stderr.endswith("This is a mistake in Photosynth; please report it with the lines above.\n")
    assert CliRunner().invoke(app, ["up", "--replay", "2024-05-12"]).exit_code == 2, "usage errors stay what they are"


def test_a_place_that_cannot_be_written_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for place, why in ((loop, "symbolic links"), (tmp_path, "Is a directory"), (tmp_path / "no" / "x", "No such file")):
        with (
            pytest.raises(CommandError, match=rf"^{re.escape(str(place))} cannot be written: .*{why}.*Name a file") as told,
            export_file(place),
        ):
            pass
        assert told.value.code is ExitCode.UNAVAILABLE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
async def test_an_export_onto_a_full_disk_closes_what_it_read() -> None:
    closed = False

    async def lines() -> AsyncGenerator[bytes]:
        nonlocal closed
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed = True

    with pytest.raises(OSError, match="No space left"):
        await _write(Path("/dev/full"), lines(), "lines")
    assert closed


def test_days_that_no_clock_of_a_market_can_have_are_wrong_input() -> None:
    for day in ("0001-01-01", "1969-12-31", "9999-12-31"):
        with pytest.raises(typer.BadParameter, match="since 1970"):
            parse_day(day)
    assert parse_day("2999-12-31").year == 2999


def test_a_reason_longer_than_the_audit_keeps_is_wrong_input(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["stop-mining", "--reason", "x" * 501, "--state", str(tmp_path)])
    assert (told.exit_code, "501 characters" in told.stderr) == (2, True)


@pytest.mark.parametrize(("reason", "name"), [("smo\x07ke", "U+0007"), ("smo\nke", "U+000A"), ("smo\udcffke", "U+DCFF")])
@pytest.mark.parametrize("kind", ["stop-mining", "resume-mining"])
def test_a_reason_with_a_control_character_is_wrong_input(kind: str, reason: str, name: str, tmp_path: Path) -> None:
    told = CliRunner().invoke(app, [kind, "--reason", reason, "--state", str(tmp_path)])
    assert told.exit_code == 2
    assert f"--reason has a control character, {name}, as its character 4" in " ".join(told.stderr.split())
