"""What generates behind a site's connection: each source is of a kind, which says what else is told of it."""

from typing import Annotated

from photosynth.energy.source_kind import SOURCES, SourceSettings
from photosynth.fleet.by_name import ByName
from photosynth.settings.values import Id


class SourcePart(SourceSettings):
    """What is told of a source of whichever kind."""

    id: Id
    """Its name."""
    kind: str
    """What it is."""
    party: Id
    """Who owns it."""


Source = Annotated[SourcePart, ByName("kind", "kind of source", SOURCES)]
"""A source of energy behind the connection."""
