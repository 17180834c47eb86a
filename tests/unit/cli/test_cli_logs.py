"""The log of a running system: one line of JSON for each event, whoever says it."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

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


def read(path: Path) -> list[dict[str, str]]:
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
