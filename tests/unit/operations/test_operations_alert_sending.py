"""Messages through apprise to a real mail server and a real webhook; whatever they answer is bounded, and tells no secret."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.unit.operations.webhooks import mailbox, webhook

from photosynth.fleet.alerts import AlertTarget
from photosynth.operations.alerting import child, sending
from photosynth.operations.alerting.sending import redacted, send

CANARY = "canary-7f3a9b"


def target(url: str) -> AlertTarget:
    return AlertTarget(id="office", url=url)


def in_a_file(folder: Path, text: str) -> AlertTarget:
    path = folder / "address"
    path.write_text(text)
    return AlertTarget.model_construct(id="office", url=None, url_file=path)


async def test_a_webhook_gets_the_message() -> None:
    async with webhook() as hook:
        assert await send(target(hook.url), "critical: node btc-1", "it does not answer\n  ä € \U0001f331") is None
    assert [(x["title"], x["message"]) for x in hook.heard] == [("critical: node btc-1", "it does not answer\n  ä € \U0001f331")]


async def test_a_mailbox_gets_the_message() -> None:
    async with mailbox() as box:
        url = f"mailto://127.0.0.1:{box.port}?from=alerts@example.org&to=ops@example.org&format=text"
        assert await send(target(url), "critical: node btc-1", "it does not answer\nlook") is None
    ((subject, text),) = box.texts()
    assert subject == "critical: node btc-1"
    assert text.splitlines()[:2] == ["it does not answer", "look"]


@pytest.mark.parametrize(("habit", "says"), [("redirects", "302"), ("refuses", "403")])
async def test_a_webhook_that_sends_us_elsewhere_or_refuses_has_not_got_it(habit: str, says: str) -> None:
    async with webhook(habit) as hook:
        why = await send(target(hook.url), "t", "b")
    assert hook.requests == 1, "a redirect is not followed"
    assert why is not None
    assert says in why


async def test_an_answer_of_ten_megabytes_is_an_answer() -> None:
    async with webhook("long") as hook:
        assert await send(target(hook.url), "t", "b") is None


@pytest.mark.parametrize("habit", ["silent", "drips", "endless"])
async def test_one_that_never_ends_its_answer_is_given_up_and_no_process_stays(
    habit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SEND_S", 3.0)
    before = set(_children())
    async with webhook(habit) as hook:
        why = await send(target(hook.url), "t", "b")
    assert why is not None
    assert any(
        word in why for word in ("within 3 s", "more than a process may hold", "Connection error", "too long", "raised")
    ), why
    assert set(_children()) <= before


async def test_whoever_ceases_to_wait_leaves_no_process_behind() -> None:
    before = set(_children())
    async with webhook("silent") as hook:
        sent = asyncio.ensure_future(send(target(hook.url), "t", "b"))
        while not hook.requests:
            await asyncio.sleep(0.01)
        sent.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sent
    assert set(_children()) <= before


async def test_an_address_is_in_no_word_about_its_failure(tmp_path: Path) -> None:
    async with webhook("refuses") as hook:
        url = f"json://anna:{CANARY}@127.0.0.1:{hook.port}/{CANARY}?+X-Token={CANARY}"
        said = [await send(in_a_file(tmp_path, url + "\n"), "t", "b")]
    said.append(await send(in_a_file(tmp_path, f"slack://{CANARY}/{CANARY}/{CANARY}"), "t", "b"))
    said.append(await send(in_a_file(tmp_path, f"nonsense://{CANARY}"), "t", "b"))
    said.append(await send(in_a_file(tmp_path, f"{CANARY}\n{CANARY}"), "t", "b"))
    said.append(await send(in_a_file(tmp_path, CANARY * 1000), "t", "b"))
    said.append(await send(in_a_file(tmp_path, ""), "t", "b"))
    said.append(await send(AlertTarget.model_construct(id="office", url=None, url_file=tmp_path / "none"), "t", "b"))
    for why in said:
        assert why is not None
        assert CANARY not in why
        assert why.isprintable()
    assert "apprise does not know such an address" in str(said[2])
    assert "cannot be read" in str(said[6])


def test_what_is_left_of_an_address_in_a_text_is_no_secret() -> None:
    url = f"json://anna:{CANARY}%21@127.0.0.1:8000/{CANARY}/hook?token={CANARY}2"
    text = redacted(f"{url} said no to {CANARY}! at /{CANARY}/hook with {CANARY}2 at 127.0.0.1", url)
    assert CANARY not in text
    assert text.endswith("at 127.0.0.1")


def test_the_process_ends_by_itself_after_the_time_that_it_is_waited_for() -> None:
    assert child.LIFE_S > sending.SEND_S


def _children() -> list[int]:
    """The processes that are ours and are not waited for."""
    import psutil

    return [found.pid for found in psutil.Process(os.getpid()).children(recursive=True)]
