"""How long a dispatch of a hundred machines takes: `python tests/benchmarks/energy_dispatch.py`."""

import time
from fractions import Fraction

from photosynth.energy.dispatch import DispatchPolicy, MachineOffer, SiteState, dispatch
from photosynth.energy.prices import Tariff
from photosynth.miners.model import MachineModel

MODELS = (
    (36, MachineModel("s21-xp", "", 270 * 10**12, 3645, 1900, 6, 300, 180, 60, 10, 25, 50_000)),
    (34, MachineModel("s21", "", 200 * 10**12, 3500, 1850, 6, 300, 180, 60, 10, 25, 50_000)),
    (32, MachineModel("s19j-pro", "", 104 * 10**12, 3068, 1700, 5, 300, 180, 90, 10, 30, 50_000)),
)


def offers(on: int) -> list[MachineOffer]:
    """The machines of the example site, the first ``on`` of them running."""
    made: list[MachineOffer] = []
    for count, model in MODELS:
        for index in range(count):
            made.append(
                MachineOffer(
                    id=f"{model.id}-{index:02}",
                    model=model.id,
                    party="operator",
                    steps=model.power_steps(),
                    standby_w=model.standby_w,
                    on=len(made) < on,
                    changed_ms=-(10**9) if index % 7 else -60_000,
                    min_on_s=model.min_on_s,
                    min_off_s=model.min_off_s,
                    start_cost_ueur=model.start_cost_ueur,
                )
            )
    return made


def main() -> None:
    """Print milliseconds of one dispatch, median and worst of 2000 over a changing sun."""
    prices = Tariff((), 1300, "none_at_negative_price", 200).prices(0, 2000, "benchmark", None)
    policy = DispatchPolicy(connection_w=400_000, guard_w=5_000)
    value = Fraction(297, 10**4) / (10**12 * 86_400)
    taken = []
    for step in range(2000):
        site = SiteState(generation_w=step * 250, load_w=62_000)
        machines = offers(step // 20)
        start = time.perf_counter_ns()
        dispatch(site, machines, prices, policy, eur_per_hash=value, now_ms=0)
        taken.append(time.perf_counter_ns() - start)
    taken.sort()
    print(f"dispatch of {len(offers(0))} machines: median {taken[1000] / 1e6:.3f} ms, 99 % {taken[1980] / 1e6:.3f} ms")


if __name__ == "__main__":
    main()
