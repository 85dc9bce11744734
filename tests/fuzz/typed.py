"""Messages that Hypothesis makes of a schema: fields of the right kind, with values that are not.

A message keeps some fields of a valid one, and gets others anew. In contrast to a mutant it always
parses, so that it meets the checks behind the parser.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.fuzz.mutations import FIXED32, FIXED64, LENGTH, VARINT, Field, decode, encode, varint
from tests.fuzz.targets.target import Target

_DEEPEST = 3
_WHOLE = st.sampled_from([0, 1, 2, 3, 4, 64, 65, 2**31, 2**32 - 1, 2**63, 2**64 - 1]) | st.integers(
    0, 2**64 - 1
)
_TEXT = st.sampled_from(["", "x", "small", "FP32", "FP64", "INT64", "BYTES", "alice", "group a"])
_ANY_TEXT = (_TEXT | st.text(max_size=300)).map(str.encode)
_ANY_BYTES = st.binary(max_size=64) | st.sampled_from([bytes(4), bytes(32), b"\xff" * 32])
_SINGLE = {
    FieldDescriptor.TYPE_FLOAT: (FIXED32, st.floats(width=32).map(lambda x: struct.pack("<f", x))),
    FieldDescriptor.TYPE_DOUBLE: (FIXED64, st.floats().map(lambda x: struct.pack("<d", x))),
    FieldDescriptor.TYPE_STRING: (LENGTH, _ANY_TEXT),
    FieldDescriptor.TYPE_BYTES: (LENGTH, _ANY_BYTES),
}
_NUMBER = (VARINT, _WHOLE.map(varint))
"""Any other kind of field of ours holds a whole number."""


def messages_of(schema: Descriptor, seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Messages of a schema: a part of one of the seeds, and fields that are drawn."""
    valid = [decode(data) or [] for data in seeds]

    @st.composite
    def message(draw: st.DrawFn) -> bytes:
        base = draw(st.sampled_from(valid))
        dropped = draw(st.sets(st.integers(0, 15), max_size=2))
        kept = [field for field in base if field.number not in dropped]
        return encode([*kept, *draw(_fields(schema, 0))])

    return message()


def attempt_typed(
    target: Target, attempt: Callable[[bytes], Any], examples: int, seed: int | None = None
) -> None:
    """Attempt so many messages of a target's schema; without a seed the same ones each time."""
    assert target.schema is not None, f"{target.name} takes no message"
    strategy = messages_of(target.schema, list(target.seeds.values()))

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(data: bytes) -> None:
        attempt(data)

    if seed is not None:
        seeded(seed)(run)
    run()


def _fields(schema: Descriptor, depth: int) -> st.SearchStrategy[list[Field]]:
    if not schema.fields:
        return st.just([])
    chosen = st.sampled_from(list(schema.fields)).flatmap(lambda field: _field(field, depth))
    return st.lists(chosen, max_size=4)


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Field]:
    if field.message_type is not None:
        if depth >= _DEEPEST:
            return st.just(Field(field.number, LENGTH, b""))
        kind, value = LENGTH, _fields(field.message_type, depth + 1).map(encode)
    else:
        kind, value = _SINGLE.get(field.type, _NUMBER)
        if field.is_repeated and kind != LENGTH:
            # Packed, as every library sends numbers.
            kind, value = LENGTH, st.lists(value, max_size=40).map(b"".join)
    return value.map(lambda data: Field(field.number, kind, data))
