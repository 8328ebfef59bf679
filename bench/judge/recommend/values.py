"""What stands in a need: numbers with bounds, and words."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic


def no_truth(value: Any) -> Any:
    """yaml's `yes` would pass for 1."""
    if isinstance(value, bool):
        raise ValueError("it is yes or no, and should be a number")
    return value


Amount = Annotated[float, pydantic.BeforeValidator(no_truth), pydantic.Field(gt=0, le=1e15, allow_inf_nan=False)]
Number = Annotated[int, pydantic.BeforeValidator(no_truth), pydantic.Field(ge=1, le=2**53)]
Word = Annotated[str, pydantic.Field(min_length=1, max_length=200)]
GIB = 2**30
