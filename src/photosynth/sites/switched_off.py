"""Whether an operator has switched a site off, as the database has it; in plain SQL, for a database at rest as well."""

from photosynth.storage.scopes import of_site
from photosynth.treasury.glance import Asked, noted

STOPPED = "stopped"
"""Key in ``meta`` of a site: whether an operator has switched it off."""


def switched_off(tx: Asked, site: str) -> bool:
    """Whether an operator has switched a site off, which holds until it is resumed."""
    return noted(tx, of_site(site), STOPPED) is True
