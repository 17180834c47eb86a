"""The documents of a backtest: what `photosynth backtest --json` prints, the same bytes for the same input.

Energy is whole joules (``_j``), and again in kWh to the watt-hour for people; money is micro-EUR (``_ueur``), net of VAT;
prices are cent per MWh. Integers that may exceed 2^53 are decimal strings.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

BigCount = Annotated[str, Field(pattern=r"^-?[0-9]+$", description="an integer of any size, as decimal text")]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnergyJoules(_Document):
    """Energy in whole joules. generated + imported = factory + mined + exported + residual, exactly."""

    generated: int
    factory: int = Field(description="used by the factory")
    mined: int = Field(description="used by the machines, asleep ones included")
    exported: int
    imported: int
    residual: int = Field(description="zero: a backtest's meters do not err")
    curtailed_estimate: int = Field(description="not generated because of a limit; beside the balance, not in it")
    own_factory: int = Field(description="of the factory's, own energy (factory first)")
    own_mining: int = Field(description="of the machines', own energy")
    grid_factory: int
    grid_mining: int = Field(description="of the machines', bought energy")
    standby_import: int = Field(description="of grid_mining, at most so much is what sleeping machines draw in the dark")


class EnergyKwh(_Document):
    """The main figures again in kilowatt-hours, rounded to the watt-hour, for reading."""

    generated: float
    factory: float
    mined: float
    exported: float
    imported: float
    curtailed_estimate: float


class Money(_Document):
    """EUR of each price component in micro-EUR; costs are positive where money goes out.

    Per quarter hour, joules times cent/MWh by 360000, rounded half to even, then summed. A negative price turns a sign.
    """

    import_components_ueur: dict[str, int] = Field(description="cost of bought energy by component, spot included")
    import_ueur: int = Field(description="their sum")
    import_for_mining_ueur: int = Field(description="the part of it that the machines' share of the import bears")
    export_spot_ueur: int = Field(description="revenue of exported energy at the spot price")
    export_premium_ueur: int
    marketing_fee_ueur: int = Field(description="cost")
    forgone_export_ueur: int = Field(description="what own energy used for mining would have fetched; not in the result")
    expected_mining_ueur: int = Field(description="expected satoshis at the day's price")
    start_cost_ueur: int = Field(description="wear of starts as declared, a management figure")
    result_ueur: int = Field(description="expected mining + export - fee - import - start cost; without the demand charge")


class Outcome(_Document):
    """What one way of running the machines comes to, over a day or in all."""

    energy_j: EnergyJoules
    energy_kwh: EnergyKwh
    money: Money
    work_hashes: BigCount = Field(description="represented hashes")
    expected_sat: int
    starts: int
    import_peak_w: int = Field(description="highest quarter-hour mean of import")
    demand_charge_ueur: int = Field(description="what a year's demand charge on that peak would be; not in the result")


class Quote(_Document):
    """What mining was paid with on a day."""

    price_cent_per_btc: int
    difficulty: str
    reward_sat: int
    source: str


class Spot(_Document):
    """The day's market in one glance (cent/MWh)."""

    lowest_cent_per_mwh: int
    highest_cent_per_mwh: int
    negative_quarter_hours: int
    quarter_hours: int
    source: str


class Outcomes(_Document):
    """The dispatch beside three simpler ways of running the same machines on the same site."""

    dispatch: Outcome
    always_on: Outcome = Field(description="everything on, buying what is missing, as far as the connection reaches")
    never: Outcome = Field(description="machines asleep")
    fixed_strike: Outcome = Field(description="all that surplus allows whenever spot is below one fixed price")


class DayReport(Outcomes):
    """One market day, Europe/Berlin."""

    day: str
    hours: int = Field(description="23, 24 or 25")
    spot: Spot
    quote: Quote


class LedgerRow(_Document):
    """One account in one asset (J or EUR) over all days; ``closing`` is positive on the debit side."""

    account: str
    name: str
    asset: str
    debit: int
    credit: int
    closing: int


class TotalReport(Outcomes):
    """All days together. ``trial_balance`` is of the dispatch's run; expected satoshis are not posted."""

    days: int
    postings: int
    trial_balance: list[LedgerRow]


class BacktestReport(_Document):
    """A whole backtest."""

    format: Literal["photosynth-backtest-1"] = "photosynth-backtest-1"
    site: str
    first_day: str
    last_day: str
    step_s: int = Field(description="site seconds of a physical step")
    fixed_strike_cent_per_mwh: int
    notes: list[str]
    days: list[DayReport]
    total: TotalReport

    def __str__(self) -> str:
        """The report as people read it in a terminal."""
        from photosynth.simulation.backtest_text import text_of

        return text_of(self)
