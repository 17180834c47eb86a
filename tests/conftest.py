"""What all tests share: the peers, real software that tests run beside us, and how property tests are run.

With ``CI=true`` they try the same examples each time, so that a change is judged by what it changed; everywhere else, new ones.
"""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

pytest_plugins = ["tests.peers.bitcoind", "tests.peers.postgres"]

settings.register_profile("photosynth", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("photosynth")


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A test that directs the log somewhere does so for itself alone."""
    yield
    structlog.reset_defaults()
