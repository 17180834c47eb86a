"""What all tests share: the peers, real software that tests run beside us, and no deadline for property tests."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

pytest_plugins = ["tests.peers.bitcoind"]

settings.register_profile("photosynth", deadline=None)
settings.load_profile("photosynth")


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """A test that directs the log somewhere does so for itself alone."""
    yield
    structlog.reset_defaults()
