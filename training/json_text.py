"""JSON of files that may be damaged or made to do harm."""

import json
from typing import Any


def parse(content: str | bytes) -> Any:
    """Parse JSON as text, or as bytes in UTF-8, 16 or 32, also with a BOM.

    Raises:
        ValueError: it is not JSON, or nested deeper than Python reads.
    """
    if isinstance(content, str):
        content = content.removeprefix("\ufeff")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("its brackets are nested too deep") from None
