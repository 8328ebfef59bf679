"""Types of options that several workloads have."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

EmptyIfNull = pydantic.BeforeValidator(lambda value: {} if value is None else value)
"""For options that are dictionaries: their yaml says `null`, because Hydra lets a command line replace `null`
by a dictionary, but lets nobody add a key to `{}` without a plus sign."""

Keywords = Annotated[dict[str, Any], EmptyIfNull]
