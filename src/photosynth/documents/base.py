"""What all documents share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

BigCount = Annotated[str, Field(pattern=r"^-?[0-9]+$", description="an integer of any size, as decimal text")]


class Document(BaseModel):
    """What every document shares: unknown fields are refused and instances do not change.

    The text below a field describes it in the JSON Schema. It is read from the source when a schema is asked for, and not as
    pydantic would (``use_attribute_docstrings``), each time that a command begins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        """The schema with what is said below each field."""
        from photosynth.attribute_docstrings import attribute_docstrings  # only whoever asks for a schema pays for reading source

        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, text in attribute_docstrings(cls).items():
            properties[name].setdefault("description", text)
        return schema
