"""A node falls silent while a whole fleet runs: one incident, one alert by webhook and mail, the same after kill -9, its end."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiosmtpd.controller import Controller
from tests.functional.running_site import RunningSite

pytestmark = [pytest.mark.functional, pytest.mark.timeout(600)]
CANARY = "canary-5d2c71"


class Webhook:
    """A webhook on loopback, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def titles(self) -> list[str]:
        """What alerts, tests aside, were called."""
        return [message["title"] for message in self.heard if "a test" not in message["title"]]

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Mails:
    """Subjects of what came by mail."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """One mail."""
        from email import message_from_bytes
        from email.policy import default

        self.subjects.append(str(message_from_bytes(envelope.content, policy=default)["Subject"]))
        return "250 taken"


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.close()


@pytest.fixture
def mails() -> Iterator[tuple[Mails, int]]:
    box = Mails()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, port
    server.stop()


FLEET = """version: 2
operator: tester
nodes:
  - {{id: btc-1, network: bitcoin, chain: regtest, role: full, run: embedded}}
  - {{id: btc-2, network: bitcoin, chain: regtest, role: full, run: simulated}}
alerts:
  to:
    - {{id: hook, url_file: hook}}
    - {{id: mail, url: "mailto://127.0.0.1:{mail}?from=alerts@example.org&to=ops@example.org"}}
"""


def test_a_node_that_falls_silent_wakes_once_and_is_one_incident_over_a_kill(
    tmp_path: Path, webhook: Webhook, mails: tuple[Mails, int]
) -> None:
    box, port = mails
    (tmp_path / "hook").write_text(f"json://user:{CANARY}@127.0.0.1:{webhook.port}/{CANARY}\n")
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(FLEET.format(mail=port))
    site = RunningSite(tmp_path / "state", fleet=fleet)

    def listed(*more: str) -> list[dict[str, Any]]:
        done = site.command("incidents", "--json", *more)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def silent() -> None:
        """The models' process takes questions and answers none."""
        assert site.process is not None
        children = psutil.Process(site.process.pid).children()
        (child,) = [one for one in children if "photosynth.simulation.networks.host" in one.cmdline()]
        os.kill(child.pid, signal.SIGSTOP)

    try:
        site.start()
        tried = site.command("alerts", "test", "--json")
        assert (tried.returncode, [one["delivered"] for one in json.loads(tried.stdout)]) == (0, [True, True])
        site.wait_for(lambda: site.get("status")["nodes"]["healthy"] == 2, "both nodes to be well")
        assert (listed(), site.get("status")["incidents"]["open"]) == ([], 0)
        silent()
        site.wait_for(lambda: bool(listed()), "an incident")
        (found,) = listed()
        assert "btc-2" in found["subject"].split()
        assert (found["state"], found["severity"], found["kind"]) == ("open", "critical", "node_unreachable")
        assert found["runbook"] == "docs/runbooks/nodes.md#node_unreachable"
        assert found["evidence"]
        opened = "Photosynth: critical: node btc-2: it does not answer"
        site.wait_for(lambda: len(box.subjects) == 2 and len(webhook.titles()) == 1, "one alert by each way")
        assert (webhook.titles(), box.subjects[1:]) == ([opened], [opened])

        site.kill()
        (left,) = listed()
        assert (left["id"], left["state"]) == (found["id"], "open"), "a stopped system tells it as it left it"
        assert json.loads(site.command("status", "--json").stdout)["incidents"]["open"] == 1
        site.start()
        silent()
        done = site.command("incident", "ack", str(found["id"]), "--by", "anna")
        assert done.returncode == 0, done.stderr
        site.wait_for(lambda: any(node["state"] in ("down", "unknown") for node in site.get("nodes")), "it to be silent again")
        (taken,) = listed()
        assert (taken["id"], taken["state"], taken["acknowledged_by"]) == (found["id"], "acknowledged", "anna")
        assert site.get("status")["incidents"]["open"] == 0
        assert site.command("incident", "ack", "4711", "--by", "anna").returncode == 2
        assert [a["actor"] for a in site.get("actions") if a["kind"] == "acknowledge_incident"] == ["anna"]

        site.kill()
        site.start()
        site.wait_for(lambda: not listed(), "it to be over")
        over = "Photosynth: over: node btc-2: it does not answer"
        site.wait_for(lambda: webhook.titles()[-1] == over and box.subjects[-1] == over, "its end to be told")
        assert (webhook.titles(), box.subjects[1:]) == ([opened, over], [opened, over])
        assert [(one["id"], one["state"]) for one in listed("--all")] == [(found["id"], "resolved")]
        said = [site.output.read_text(), json.dumps(site.get("actions?limit=1000")), json.dumps(site.get("status"))]
        assert all(CANARY not in text for text in said)
        site.stop()
    finally:
        site.end()
