"""Compact: JSON without spaces, as cells and events have it.

Promises: the text is `json.dumps(value, separators=(",", ":"))`. The encoder is made once: the
library makes one for each value, which takes longer than most values. Leaves out: reading JSON.
"""

from __future__ import annotations

import json
from json import encoder
from typing import Any

_LIBRARY = json.JSONEncoder()
_make: Any = vars(encoder)["c_make_encoder"]
_parts = _make(
    None, _LIBRARY.default, encoder.encode_basestring_ascii, None, ":", ",", False, False, True
)
"""Its arguments: no search for cycles, what to do with other types, how a text is written, no
indent, what is between key and value, and between entries, no sorting, no key left out, NaN."""


def written(value: Any) -> str:
    """Return a value as JSON. Raises TypeError for what is not JSON, ValueError for a cycle."""
    try:
        return "".join(_parts(value, 0))
    except RecursionError:
        raise ValueError("Circular reference detected") from None
