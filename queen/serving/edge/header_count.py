"""How many header fields a call has, told without reading them.

A header field takes one byte on the wire where HPACK refers to its static table, and gRPC does not
count such fields against its bound on metadata. To read them all takes microseconds each in the
event loop. gRPC's object of a call has their number, in a place that no name leads to. So the
number is read from its memory, which is as safe as reading any of its attributes.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sized
from typing import Any

MOST_FIELDS = 128
"""Header fields of a call; one that has more is dropped, and nothing of it is read."""
_SIZE, _PLACE = 224, 112
"""Bytes of gRPC's object of a call, and the place of its count of header fields in it."""
_CHECKS = 8
"""Calls of which the count is compared with the fields before it is believed."""
_COUNT = ctypes.c_size_t


class HeaderCount:
    """Counts the header fields of calls.

    If another version of gRPC keeps the number elsewhere, the fields themselves are counted.
    """

    def __init__(self) -> None:
        self._checks_left = _CHECKS
        self._is_known = sys.implementation.name == "cpython"

    def is_within(self, state: Any, read: Callable[[], Sized]) -> bool:
        """Whether a call has at most MOST_FIELDS; `read` reads its fields, if that is needed."""
        if not self._is_known or type(state).__basicsize__ != _SIZE:
            return len(read()) <= MOST_FIELDS
        count = _COUNT.from_address(id(state) + _PLACE).value
        if self._checks_left:
            fields = len(read())
            self._is_known = fields == count
            self._checks_left -= 1
            return fields <= MOST_FIELDS
        return count <= MOST_FIELDS
