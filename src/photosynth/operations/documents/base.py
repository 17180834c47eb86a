"""What all documents share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

BigCount = Annotated[str, Field(pattern=r"^-?[0-9]+$", description="an integer of any size, as decimal text")]


class Document(BaseModel):
    """What every document shares: unknown fields are refused and instances do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
