"""What a class says of its attributes: the texts below them, as the source has them."""

import ast
import inspect
from itertools import pairwise


def attribute_docstrings(described: type) -> dict[str, str]:
    """The text below each annotated attribute of a class's own body (PEP 257, "Attribute docstrings").

    Raises OSError where its source cannot be had.
    """
    (definition,) = ast.parse(inspect.getsource(described)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for attribute, below in pairwise(definition.body):
        match attribute, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found
