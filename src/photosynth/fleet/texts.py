"""What the classes of the fleet file say of their fields: the texts below them, and what reads each value."""

import ast
import importlib
import inspect
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from photosynth.fleet.units import Dimension


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field of a class, as the source has it; read here, so that a start does not pay for it."""
    module = ast.parse(inspect.getsource(importlib.import_module(model.__module__)))
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == model.__name__)
    texts = {}
    for field, after in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            texts[field.target.id] = str(ast.literal_eval(after.value))
    return texts


def parser_of(metadata: list[Any]) -> Any:
    """What turns a field's value into its own: a quantity's dimension, a function, or None where the type alone does."""
    for marker in metadata:
        function = getattr(marker, "func", None)
        dimension = getattr(function, "__self__", None)
        if function is not None:
            return dimension if isinstance(dimension, Dimension) else function
    return None
