"""The limit of open files: raised as far as allowed, and never all of it for miners."""

import resource

import pytest

from photosynth.sites.limits import FILES_OF_OUR_OWN, room_for_miners


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "room"),
    [
        (1024, 524_288, 65_536, 20_000),
        (1024, 4096, 4096, 4096 - FILES_OF_OUR_OWN),
        (1024, 1024, 1024, 1024 - FILES_OF_OUR_OWN),
        (256, 256, 256, 64),
        (1024, resource.RLIM_INFINITY, 65_536, 20_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY, 20_000),
    ],
)
def test_room_for_miners(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int, room: int) -> None:
    now = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (now[0], now[1]))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: now.__setitem__(slice(None), limits))
    assert room_for_miners(20_000) == room
    assert now == [raised, hard]


def test_a_system_that_refuses_leaves_less_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_what: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (2048, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert room_for_miners(20_000) == 2048 - FILES_OF_OUR_OWN
