"""Open files: every miner's connection is one, and none may be missing for the books, the shares or the console."""

import contextlib
import resource

MOST_FILES = 65_536
FILES_OF_OUR_OWN = 768
"""Databases, logs, machines that are asked, and what web browsers hold open (at most 512: ``api.lobby``, ``api.guard``)."""


def room_for_miners(wanted_connections: int, pools: int = 1) -> int:
    """How many of the wanted connections one of several pools may hold; the limit of open files is raised as far as it can be.

    Many systems give a process 1,024 at first and allow far more (``setrlimit(2)``).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems have a lower limit than they tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted_connections
    return min(wanted_connections, max(soft // 4, soft - FILES_OF_OUR_OWN) // pools)
