"""What a class says of its fields: the texts below them, and what reads each value."""

from typing import Any

from pydantic import BaseModel

from photosynth.attribute_docstrings import attribute_docstrings
from photosynth.fleet.units import Dimension


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """What is said of each field of a class: in its description, or in the text below it, as the source has it."""
    described = {name: field.description for name, field in model.model_fields.items() if field.description}
    return attribute_docstrings(model) | described


def parser_of(metadata: list[Any]) -> Any:
    """What turns a field's value into its own: a quantity's dimension, a function, or None where the type alone does."""
    for marker in metadata:
        function = getattr(marker, "func", None)
        dimension = getattr(function, "__self__", None)
        if function is not None:
            return dimension if isinstance(dimension, Dimension) else function
    return None
