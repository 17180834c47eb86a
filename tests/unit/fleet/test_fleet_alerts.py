"""Whom to wake, in a fleet file: targets with secrets in files alone, quiet hours, and every mistake with its mend."""

from pathlib import Path

import pytest

from photosynth.fleet import FleetFileError, parse_fleet
from photosynth.fleet.alerts import Alerts

HEAD = "version: 2\noperator: demo\nnodes:\n  - {id: btc-1, network: bitcoin, chain: regtest, role: full, run: embedded}\n"


def alerts(text: str) -> Alerts:
    return parse_fleet((HEAD + "alerts:\n" + text).encode(), "fleet.yaml", Path("/fleet")).alerts


def mistakes(text: str) -> str:
    with pytest.raises(FleetFileError) as refused:
        alerts(text)
    return str(refused.value)


def test_targets_repeat_and_quiet_hours_are_read() -> None:
    found = alerts(
        '  to:\n    - {id: desk, url: "json://192.0.2.7:8000/hook"}\n'
        '    - {id: mail, url: "mailto://mail.example.org?from=a@example.org&to=b@example.org"}\n'
        "    - {id: chat, url_file: secrets/chat}\n"
        '  repeat: 4 h\n  quiet: {from: "22:00", to: "06:30", zone: Europe/Berlin}\n'
    )
    assert [target.id for target in found.to] == ["desk", "mail", "chat"]
    assert found.to[2].url_file == Path("/fleet/secrets/chat")
    assert found.repeat_s == 4 * 3600
    assert found.quiet is not None
    assert (found.quiet.from_, found.quiet.to, str(found.quiet.zone)) == (22 * 60, 6 * 60 + 30, "Europe/Berlin")


def test_without_anything_nobody_is_woken() -> None:
    assert parse_fleet(HEAD.encode(), "fleet.yaml", Path()).alerts == Alerts()


@pytest.mark.parametrize(
    "url",
    [
        "mailto://anna:canary@mail.example.org?to=b@example.org",
        "json://canary@127.0.0.1/hook",
        "json://127.0.0.1/hook?token=canary",
        "json://127.0.0.1/hook?+Authorization=canary",
        "slack://canary/canary/canary",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(url: str) -> None:
    said = mistakes(f'  to: [{{id: desk, url: "{url}"}}]\n')
    assert "url_file" in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("  to: [{id: desk}]\n", "more or less than one address"),
        ('  to: [{id: desk, url: "json://h/x", url_file: x}]\n', "more or less than one address"),
        ('  to: [{id: desk, url: "nothing"}]\n', "not the address of a target"),
        ('  to: [{id: desk, url: "json://h:99999/x"}]\n', "not the address of a target"),
        ("  to: [{id: desk, url: 7}]\n", "not the address of a target"),
        ("  to: [{id: a, url_file: x}, {id: a, url_file: y}]\n", "there twice"),
        ("  repeat: 1 min\n", "heard no more"),
        ('  quiet: {from: "25:00", to: "06:00", zone: Europe/Berlin}\n', "not a time of the day"),
        ('  quiet: {from: "06:00", to: "06:00", zone: Europe/Berlin}\n', "begin when they end"),
        ('  quiet: {from: "06:00", to: "07:00", zone: Nowhere}\n', "not a time zone"),
        ("  whom: x\n", "not known"),
    ],
)
def test_mistakes_say_how_to_mend_them(text: str, says: str) -> None:
    assert says in mistakes(text)
