"""What sound meters may disagree by, by the books' rule, for meters as the simulation knows them."""

from collections.abc import Sequence

from photosynth.energy.meters import MeterSpec
from photosynth.treasury.facts import MeterFact, MeterInfo
from photosynth.treasury.mining.energy import residual_bound_j


def bound_j(specs: Sequence[MeterSpec], counted: Sequence[int]) -> int:
    """The largest residual that these meters' classes and steps explain, from what each counted."""
    infos = [
        MeterInfo(spec.id, spec.role, spec.party, f"{spec.class_ppm / 10_000:g}", spec.register_step_j, simulated=True)
        for spec in specs
    ]
    facts = [MeterFact(spec.id, 0, joules, "good") for spec, joules in zip(specs, counted, strict=True)]
    bound = residual_bound_j(infos, facts)
    assert bound is not None
    return bound
