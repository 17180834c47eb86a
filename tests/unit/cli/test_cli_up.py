"""How a run begins and ends: every port is taken first, and a start that is cut short says so."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from photosynth.cli.errors import CommandError, ExitCode
from photosynth.cli.options import UpOptions
from photosynth.cli.ports import take_ports
from photosynth.cli.up import last_words, run_up
from photosynth.fleet import load_fleet
from photosynth.operations.running_fleet import Left

BACKNANG = Path(__file__).parents[3] / "examples" / "backnang.yaml"


def options(state: Path, **changed: int) -> UpOptions:
    return UpOptions(**{"fleet": BACKNANG, "state": state, "port": 0, "pool_port": 0, "open_browser": False, **changed})  # type: ignore[arg-type]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("which", "option"), [("port", "--port N or console.listen"), ("pool_port", "--pool-port N or the site.s pool.listen")]
)
def test_a_port_that_is_taken_ends_a_start_before_anything_is_touched(
    tmp_path: Path, taken: int, which: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("photosynth.operations.opening.open_fleet", None)  # nothing of the fleet is even opened
    state = tmp_path / "state"
    with pytest.raises(CommandError, match=rf"Port {taken} of 127.0.0.1 is in use.*{option}") as refused:
        run_up(options(state, **{which: taken}))
    assert refused.value.code is ExitCode.UNAVAILABLE
    assert [path.name for path in state.iterdir()] == ["lock"]


def test_taken_ports_listen_at_once_and_are_let_go() -> None:
    with take_ports(load_fleet(BACKNANG), options(Path("unused"))) as ports:
        addresses = [ports.console.getsockname(), ports.pools["backnang"].getsockname()]
        assert ports.console_url() == f"http://127.0.0.1:{addresses[0][1]}"
        assert ports.pool_urls() == {"backnang": f"stratum+tcp://127.0.0.1:{addresses[1][1]}"}
        for address in addresses:
            socket.create_connection(address, timeout=10).close()
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)


def test_a_run_whose_time_is_over_before_it_began_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_settings: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("photosynth.operations.opening.open_fleet", slow)
    with pytest.raises(CommandError, match="--for were over before the fleet had started; nothing ran") as ended:
        run_up(options(tmp_path / "state", run_for_s=0))
    assert ended.value.code is ExitCode.UNAVAILABLE
    structlog.get_config()["logger_factory"]()._outputs[0].close()
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("left", "code", "said"),
    [
        (Left(0, 0, ()), ExitCode.OK, "holds everything; the next start resumes there"),
        (Left(3, 0, ()), ExitCode.OK, "did not take 3 entries of the audit; they wait in data/audit-spool.jsonl"),
        (Left(3, 2, ()), ExitCode.UNAVAILABLE, "2 entries of the audit are lost"),
        (Left(0, 0, ("jever",)), ExitCode.UNAVAILABLE, "Whether an operator stopped jever could not be written down"),
    ],
)
def test_a_run_ends_well_only_where_the_next_start_knows_everything(left: Left, code: ExitCode, said: str) -> None:
    words, found = last_words(left, Path("data"), Path("data/audit-spool.jsonl"))
    assert found is code
    assert said in words
    assert ("holds everything" in words) == (left == Left(0, 0, ()))
