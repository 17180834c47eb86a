"""What every part of a fleet file shares: strict models whose keys are their fields' names without the unit.

A field's key in the file is its name here without the unit: ``connection_w`` is written ``connection: 400 kW``.
"""

from pydantic import BaseModel, ConfigDict

_UNITS = (
    *("_cent_per_mwh", "_cent_per_btc", "_cent_per_kw", "_ueur", "_sat", "_mdeg"),
    *("_mm_s", "_mm"),
    *("_hs", "_w", "_j", "_s"),
)


def file_key(name: str) -> str:
    """The key under which a field is written: its name without the unit."""
    for unit in _UNITS:
        if name.endswith(unit):
            return name.removesuffix(unit)
    return name


class Part(BaseModel):
    """A part of a fleet file: unknown keys are refused, nothing is converted silently, nothing changes later."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=file_key,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )
