"""Photovoltaic plants as a fleet file declares them."""

from pydantic import model_validator

from photosynth.energy.source_kind import SourceKind, SourceSettings
from photosynth.settings.units import ANGLE, Angle, PeakWatts, mistake
from photosynth.settings.values import Day


class Photovoltaic(SourceSettings):
    """A photovoltaic plant, like a roof."""

    peak_w: PeakWatts
    """Nameplate power under standard test conditions."""
    tilt_mdeg: Angle
    """Of the modules against the horizontal: 0 to 90 deg."""
    azimuth_mdeg: Angle
    """Where the modules look: 0 deg north, 90 deg east, 180 deg south; below 360 deg."""
    commissioned: Day
    """Day of commissioning. From 25 February 2025 on there is no premium at a negative price (EEG 2023, section 51)."""

    @property
    def nominal_w(self) -> int:
        """The most that it makes (watts)."""
        return self.peak_w

    @model_validator(mode="after")
    def _angles(self) -> "Photovoltaic":
        if self.tilt_mdeg > 90 * ANGLE.units["deg"]:
            raise mistake("modules are tilted by more than 90 deg", "Write an angle from 0 to 90 deg", "tilt")
        if self.azimuth_mdeg >= 360 * ANGLE.units["deg"]:
            raise mistake("the azimuth is not below 360 deg", "Write an angle from 0 deg (north) to below 360 deg", "azimuth")
        return self


KIND = SourceKind(name="photovoltaic", title="A photovoltaic plant", tier="specification", settings=Photovoltaic, simulated=True)
