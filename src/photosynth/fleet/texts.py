"""What a class says of its fields: the texts below them, and what reads each value."""

import contextlib
from typing import Any

from pydantic import BaseModel

from photosynth.attribute_docstrings import attribute_docstrings
from photosynth.settings.units import Dimension


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """What is said of each field of a class: in its description, or in the text below it, as the source has it."""
    found: dict[str, str] = {}
    for ancestor in reversed(model.__mro__):
        if issubclass(ancestor, BaseModel) and ancestor.model_fields:
            with contextlib.suppress(OSError, TypeError):  # a class without a source: one that is made, or of another package
                found |= attribute_docstrings(ancestor)
    found |= {name: field.description for name, field in model.model_fields.items() if field.description}
    return {name: found.get(name, "") for name in model.model_fields}


def parser_of(metadata: list[Any]) -> Any:
    """What turns a field's value into its own: a quantity's dimension, a function, or None where the type alone does."""
    for marker in metadata:
        function = getattr(marker, "func", None)
        dimension = getattr(function, "__self__", None)
        if function is not None:
            return dimension if isinstance(dimension, Dimension) else function
    return None
