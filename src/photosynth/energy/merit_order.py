"""The merit order: steps of machines from the most valuable down, out of blocks of energy from the cheapest up; pure.

A step is taken by as many machines as there is energy for at a price that it earns. What is left at a price follows from
one sum, as the cheaper blocks flow first: all watts up to that price, less what was taken before, whatever took it.
So a climb also knows how far each such sum may move before anybody does anything else: see :attr:`Climb.bounds`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from photosynth.energy.ladder import Ladder

Block = tuple[int, int]
"""Watts, more than none, that can be had at a price, in cent/MWh."""


@dataclass(frozen=True, slots=True)
class Climb:
    """How many machines take each rung of a ladder (by its place), with so much energy.

    ``extra_w`` is what they draw beyond standby, ``mined`` what they earn with it (W x cent/MWh). ``bounds`` has for each
    block the lowest and the highest sum of watts, up to and with it, at which the same are taken; None is no bound.
    """

    taken: tuple[int, ...]
    extra_w: int
    mined: int
    ladder: Ladder
    cents: tuple[int, ...]
    bounds: tuple[tuple[int, int | None], ...]

    def holds(self, ladder: Ladder, blocks: Sequence[Block]) -> bool:
        """Whether a climb of this very ladder with these blocks takes the same."""
        if self.ladder is not ladder or len(self.cents) != len(blocks):
            return False
        total_w = 0
        for (watts, cent), own_cent, (least, most) in zip(blocks, self.cents, self.bounds, strict=True):
            total_w += watts
            if cent != own_cent or total_w < least or (most is not None and total_w > most):
                return False
        return True


def climb(ladder: Ladder, blocks: Sequence[Block]) -> Climb:
    """Take steps out of blocks whose prices rise: first those that minimum times hold, whatever they cost."""
    taken = [0] * len(ladder.rungs)
    sums = [0]
    for watts, _ in blocks:
        sums.append(sums[-1] + watts)
    least: list[int] = [0] * len(sums)
    most: list[int | None] = [None] * len(sums)
    used_w, mined, block = ladder.fixed_w, 0, len(blocks)
    for steps, held in ((ladder.held, True), (ladder.merit, False)):
        for place, level, each_w, value_cent, _, machines in steps:
            if not held:
                while block and blocks[block - 1][1] > value_cent:
                    block -= 1
                if not block:
                    break  # nothing that comes now earns the cheapest energy
            count = (taken[place - 1] if level else machines) - taken[place]
            if count <= 0:
                continue
            number = (sums[block] - used_w) // each_w
            if number < count:
                number = max(0, number)
                end_w, bound = used_w + (number + 1) * each_w - 1, most[block]
                if bound is None or end_w < bound:
                    most[block] = end_w
            else:
                number = count
            if number:
                used_w += number * each_w
                mined += number * each_w * value_cent
                least[block] = max(least[block], used_w)
                taken[place] += number
    return Climb(
        taken=tuple(taken),
        extra_w=used_w - ladder.fixed_w,
        mined=mined,
        ladder=ladder,
        cents=tuple(cent for _, cent in blocks),
        bounds=tuple(zip(least[1:], most[1:], strict=True)),
    )
