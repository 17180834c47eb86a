"""The log of a running system: one line of JSON for each event, whoever says it."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from photosynth.cli.logs import configure_logs


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Path]:
    """A configured log; afterwards everything is as it was."""
    handlers = list(logging.getLogger().handlers)
    path = tmp_path / "log.jsonl"
    configure_logs(path, to_terminal=False)
    yield path
    structlog.get_config()["logger_factory"]()._outputs[0].close()
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_a_library_says_comes_into_the_log_with_its_traceback(lines: Path) -> None:
    try:
        raise KeyError("inside")
    except KeyError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI %s", "application")
    logging.getLogger("asyncio").warning("slow %s")
    logging.getLogger("asyncio").info("not said")
    first, second = read(lines)
    assert (first["event"], first["level"], first["logger"]) == ("Exception in ASGI application", "error", "uvicorn.error")
    assert "KeyError: 'inside'" in first["exception"]
    assert (second["event"], second["level"]) == ("slow %s", "warning")


def test_a_log_begins_anew_when_it_has_grown_and_one_before_it_is_kept(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("photosynth.cli.logs.MAX_BYTES", 2_000)
    for number in range(200):
        structlog.get_logger().info("as in a year", number=number)
    before = lines.with_suffix(".old.jsonl")
    numbers = [line["number"] for line in read(before) + read(lines)]
    assert numbers == list(range(int(numbers[0]), 200)), "the newest, each of them once"
    assert before.stat().st_size + lines.stat().st_size < 4_500
    assert sorted(path.name for path in lines.parent.iterdir()) == ["log.jsonl", "log.old.jsonl"]


def test_a_library_that_says_the_same_for_every_connection_is_heard_ten_times_a_minute(lines: Path) -> None:
    handler = next(handler for handler in logging.getLogger().handlers if type(handler).__name__ == "_FromLibraries")

    def say(second: float, line: int = 7) -> None:
        record = logging.LogRecord(
            "uvicorn.error", logging.WARNING, "http.py", line, "Invalid HTTP request received.", None, None
        )
        record.created = second
        handler.handle(record)

    for number in range(1_000):
        say(100 + number / 100)
    say(100, line=8)
    assert len(read(lines)) == 11
    say(160)
    assert read(lines)[-1]["left_out"] == 990
    say(161)
    assert "left_out" not in read(lines)[-1]
