"""Counts the fields of a serialized message, before objects are made of them.

A message of two bytes a field becomes objects of many times its size. The walk makes no objects
and ends at the first field too many, so its cost is bounded by the count, not by the size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queen.errors import MalformedMessage

Plan = Mapping[int, Any]
"""The fields of a message that are messages in turn, by number, each with a plan of its own."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MORE = 0x80
_LONGEST_VARINT = 10


def plan_of(descriptor: Any) -> Plan:
    """The plan of a message type: which of its fields are walked into.

    Messages whose parts occur at most once are not: they hold few objects, whatever their size.
    """
    return _plan(descriptor, ()) or {}


def require_few_fields(data: bytes, plan: Plan, most: int) -> None:
    """MalformedMessage if a message has more than `most` fields, or is none."""
    try:
        _walk(data, plan, most)
    except IndexError as error:
        raise MalformedMessage("expected a message, got bytes that end amid a field") from error


def _walk(data: bytes, plan: Plan, most: int) -> None:
    position, end, seen = 0, len(data), 0
    outer: list[tuple[int, Plan]] = []
    while True:
        if position == end:
            if not outer:
                return
            end, plan = outer.pop()
            continue
        seen += 1
        if seen > most:
            raise MalformedMessage(
                f"expected at most {most} fields in a message, got more; "
                "numbers go in packed form, or in raw_input_contents"
            )
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _LENGTH:
            length, position = _varint(data, position)
            if position + length > end:
                raise MalformedMessage("expected a message, got a field longer than its message")
            inner = plan.get(tag >> 3)
            if inner is None:
                position += length
            else:
                outer.append((end, plan))
                end, plan = position + length, inner
        else:
            position = _skip(data, position, kind)
            if position > end:
                raise MalformedMessage("expected a message, got a field longer than its message")


def _skip(data: bytes, position: int, kind: int) -> int:
    """Where a number ends that begins at `position`."""
    if kind == _VARINT:
        return _varint(data, position)[1]
    if kind == _FIXED64:
        return position + 8
    if kind == _FIXED32:
        return position + 4
    # Groups are in no message of ours. Skipped as an unknown field, one could hide anything.
    raise MalformedMessage(f"expected fields of wire type 0, 1, 2 or 5, got {kind}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and where it ends."""
    byte = data[position]
    position += 1
    if byte < _MORE:
        return byte, position
    value, shift = byte & 0x7F, 7
    for _ in range(_LONGEST_VARINT - 1):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, position
        shift += 7
    raise MalformedMessage("expected numbers of at most 10 bytes, got a longer one")


def _plan(descriptor: Any, above: tuple[str, ...]) -> Plan | None:
    """The plan of a message type; None if the type holds nothing that repeats."""
    # A type within itself repeats.
    if descriptor.full_name in above:
        return {}
    inner: dict[int, Plan] = {}
    repeats = False
    for field in descriptor.fields:
        repeats = repeats or field.is_repeated
        if field.message_type is not None:
            plan = _plan(field.message_type, (*above, descriptor.full_name))
            if plan is not None:
                inner[field.number] = plan
    return inner if repeats or inner else None
