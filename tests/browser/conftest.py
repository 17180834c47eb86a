"""A console over a fake site in a process of its own, and Chromium to look at it with."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
STATUS = re.compile(r"status of (404|500) ")
REFUSED = re.compile("ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_EMPTY_RESPONSE")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class Site:
    """A running console: its address, and a switch that makes the site behind it stop answering."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def toggle_failure(self) -> None:
        """Let the site stop answering, or answer again."""
        self.process.send_signal(signal.SIGUSR1)

    def toggle_freeze(self) -> None:
        """Let the site answer with what it saw then for ever, or look again."""
        self.process.send_signal(signal.SIGUSR2)


@contextmanager
def serve(*arguments: str, port: int = 0) -> Iterator[Site]:
    """A console over a fake site, until the block ends."""
    command = [sys.executable, "-m", "tests.browser.fake_fleet", str(port), *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Site(process, process.stdout.readline().strip())
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def site(chromium: Browser) -> Iterator[Site]:
    """A site with a day behind it, which many tests look at: whoever changes what it says takes a ``site_of_its_own``."""
    with serve() as found:
        yield found


@pytest.fixture
def site_of_its_own(chromium: Browser) -> Iterator[Site]:
    """The same for one test, which may leave it as it likes."""
    with serve() as found:
        yield found


@pytest.fixture(scope="module")
def empty_site(chromium: Browser) -> Iterator[Site]:
    """A site that has seen nothing yet."""
    with serve("empty") as found:
        yield found


@pytest.fixture(scope="module")
def two_sites(chromium: Browser) -> Iterator[Site]:
    """A fleet of two sites, which many tests look at."""
    with serve("two") as found:
        yield found


@pytest.fixture
def two_sites_of_its_own(chromium: Browser) -> Iterator[Site]:
    """The same for one test, which may leave it as it likes."""
    with serve("two") as found:
        yield found


@pytest.fixture(scope="module")
def no_site(chromium: Browser) -> Iterator[Site]:
    """A fleet that operates nodes only."""
    with serve("none") as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        reason = "no Chromium for this test: sudo apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


expect.set_options(timeout=20_000)  # a page grows old within six seconds, and computers that test are busy
Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Open an address; at the end no page may have logged an error or asked anything outside of this machine."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(
        url: str,
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        motion: bool = False,
        locale: str = "en-GB",
        unreachable: bool = False,
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="no-preference" if motion else "reduce",
            locale=locale,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)

        def logged(message: ConsoleMessage) -> None:
            if message.type == "error" and not (STATUS.search(message.text) or (unreachable and REFUSED.search(message.text))):
                faults.append(f"{url}: {message.text}")

        def asked(request: Request) -> None:
            if not request.url.startswith(("http://127.0.0.1:", "data:")):
                faults.append(f"asked outside: {request.url}")

        page.on("console", logged)
        page.on("pageerror", lambda error: faults.append(f"{url}: {error}"))
        page.on("request", asked)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
