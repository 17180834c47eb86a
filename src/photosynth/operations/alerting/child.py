"""The process that sends one message through apprise: `python -m photosynth.operations.alerting.child`, told what by its input.

It is a process of its own because what is spoken to may never answer, answer without an end, or answer with what fills the
memory: it is bounded in time and memory by the system, and ends with nobody else. The address comes by standard input alone,
where no list of processes shows it.
"""

import contextlib
import json
import logging
import resource
import signal
import sys

LIFE_S = 30
"""It ends by itself after so long, also where whoever started it was killed."""
MOST_MEMORY = 1 << 29
MOST_INPUT = 1 << 16


class _Heard(logging.Handler):
    """What apprise warns of, which says why a message did not arrive."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first few."""
        if len(self.lines) < 5:
            self.lines.append(record.getMessage()[:300])


def main() -> None:
    """Read what to send, send it, and say what came of it in one line of JSON."""
    signal.alarm(LIFE_S)
    with contextlib.suppress(ValueError, OSError):  # a system that knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    told = json.loads(sys.stdin.read(MOST_INPUT))
    delivered, why = _send(told["url"], told["title"], told["body"])
    sys.stdout.write(json.dumps({"delivered": delivered, "why": why}) + "\n")


def _send(url: str, title: str, body: str) -> tuple[bool, str]:
    import apprise

    heard = _Heard()
    apprise.logger.addHandler(heard)
    asset = apprise.AppriseAsset(app_id="Photosynth", async_mode=False, http_redirects=False, secure_logging=True)
    sender = apprise.Apprise(asset=asset)
    if not sender.add(url):
        return False, "apprise does not know such an address"
    try:
        delivered = bool(sender.notify(body=body, title=title, body_format=apprise.NotifyFormat.TEXT))
    except MemoryError:
        return False, "its answer is too long"
    return delivered, " ".join(heard.lines) or "it did not take the message"


if __name__ == "__main__":
    main()
