"""Mutations of serialized messages that know the wire format, and of text.

A message is a list of fields. Each mutation changes one field, at any depth, and keeps the rest
whole: most bytes of a mutant come through the first checks and reach the later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
_DEEPEST = 8
LARGEST = 1 << 17
"""Bytes of the largest mutant."""
_LONG = 8192
_NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 63, 64, 65, 127, 128, 255, 256, 1023, 1024, 4095, 4096, 65_535, 65_536),
    *(2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
)
_TEXTS = (
    *(
        b"",
        b"\x00",
        b"\xff\xfe",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"../x",
        b"x\n",
    ),
    *("\u202ealice".encode(), "\U0001f451".encode() * 64, b"a" * 255, b"a" * 257, b"a" * 5000),
    *(b"group acme", b"observed alice", b"FP32", b"FP16", b"BYTES", b"INT64", b"BOOL", b"small"),
)
_FLOATS = tuple(
    bytes.fromhex(text)
    for text in ("0000c07f", "0000807f", "000080ff", "01000000", "ffff7f7f", "000080bf", "00000080")
)
"""NaN, infinities, the least and the largest number, -1 and -0, as float32."""


@dataclass(frozen=True)
class Field:
    """A field of a message: its number, its wire type, and its value as it is on the wire.

    The value of a LENGTH field lacks its length: `encode` writes that.
    """

    number: int
    kind: int
    value: bytes


def varint(value: int) -> bytes:
    """A whole number of up to 64 bits as a varint."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def encode(fields: Sequence[Field]) -> bytes:
    """The bytes of a message."""
    return b"".join(
        varint(field.number << 3 | field.kind)
        + (varint(len(field.value)) if field.kind == LENGTH else b"")
        + field.value
        for field in fields
    )


def decode(data: bytes) -> list[Field] | None:
    """The fields of a message; None for bytes that are none."""
    fields, at = [], 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        start = at
        if kind == VARINT:
            _, at = _read_varint(data, at)
        elif kind == LENGTH:
            size, start = _read_varint(data, at)
            at = start + size
        elif kind in {FIXED32, FIXED64}:
            at += 4 if kind == FIXED32 else 8
        else:
            return None
        if not 0 < at <= len(data) or number == 0:
            return None
        fields.append(Field(number, kind, data[start:at]))
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and the position behind it, which is -1 for bytes that hold none."""
    value = 0
    for shift in range(0, 70, 7):
        if not 0 <= at < len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    return 0, -1


def mutate_message(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """A mutant of a message; `others` are messages whose parts may be spliced in."""
    mutant = data
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        # To read and write thousands of fields would take all of the time.
        if len(mutant) < _LONG and random.random() < 0.8:
            mutant = _mutate_fields(mutant, random, others, 0)
        else:
            mutant = mutate_bytes(mutant, random)
    return mutant[:LARGEST]


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """Bytes of which a few are changed, whatever they mean."""
    at = random.randrange(len(data) + 1)
    end = min(len(data), at + random.choice((1, 1, 2, 4, 8, 64)))
    return random.choice(
        (
            lambda: data[:at],
            lambda: data[:at] + data[end:],
            lambda: data[:end] + data[at:],
            lambda: data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:],
            lambda: data[:at] + random.randbytes(end - at) + data[end:],
            lambda: (
                data[:at]
                + bytes(byte ^ 1 << random.randrange(8) for byte in data[at:end])
                + data[end:]
            ),
            lambda: data + random.choice((b"\x00", b"\xff", b"\x80" * 11, random.randbytes(32))),
        )
    )()


def mutate_text(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """A mutant of a text: of its words, its lines, or its bytes."""
    if random.random() < 0.3:
        return mutate_bytes(data, random)
    if random.random() < 0.3:
        lines = data.splitlines(keepends=True)
        if lines:
            at = random.randrange(len(lines))
            other = random.choice((*others, data)).splitlines(keepends=True) or [b""]
            lines[at : at + random.randrange(2)] = random.choices(
                [*lines, random.choice(other)], k=random.randrange(3)
            )
        return b"".join(lines)[:LARGEST]
    spans = _words(data)
    if not spans:
        return data + random.choice(_WORDS)
    start, end = random.choice(spans)
    word = random.choice(_WORDS) if random.random() < 0.8 else data[slice(*random.choice(spans))]
    return (data[:start] + word + data[end:])[:LARGEST]


_WORDS = (
    *(b"", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"1.5", b"9" * 30),
    *(b"9" * 5000, b"[]", b"{}", b'""', b'"\\ud800"', b"[[" * 500, b"{a: " * 500, b"[" * 200_000),
    *(b"2025-02-30", b"0x10", b"!!python/object:os.system", b"!!binary x", b"&a [*a]", b"*a"),
    *(
        b"\x00",
        b"\xff\xfe",
        "\u2028".encode(),
        b"off",
        b"~",
        b'{"a":1,"a":2}',
        b"18446744073709551616",
    ),
)
_SEPARATORS = b" \t\r\n,:;{}[]()\"'="


def _words(data: bytes) -> list[tuple[int, int]]:
    spans, start = [], None
    for at, byte in enumerate(data):
        if byte in _SEPARATORS:
            if start is not None:
                spans.append((start, at))
                start = None
        elif start is None:
            start = at
    return spans if start is None else [*spans, (start, len(data))]


def _mutate_fields(data: bytes, random: Random, others: Sequence[bytes], depth: int) -> bytes:
    fields = decode(data)
    if not fields:
        return mutate_bytes(data, random) if data else random.choice(_TEXTS)
    at = random.randrange(len(fields))
    field = fields[at]
    is_message = field.kind == LENGTH and depth < _DEEPEST and bool(decode(field.value))
    if is_message and random.random() < 0.6:
        inner = _mutate_fields(field.value, random, others, depth + 1)
        fields[at] = replace(field, value=inner)
    else:
        fields[at : at + 1] = random.choice(_CHANGES)(field, fields, random, others)
    return encode(fields)


Change = Callable[[Field, Sequence[Field], Random, Sequence[bytes]], Sequence[Field]]
"""The fields that take the place of a field, from it, from its message, and from others."""


def _drop(_field: Field, _of: Sequence[Field], _random: Random, _others: object) -> Sequence[Field]:
    return ()


def _repeat(field: Field, _of: Sequence[Field], random: Random, _others: object) -> Sequence[Field]:
    return [field] * random.choice((2, 2, 2, 3, 3, 9, 9, 40, 300, random.choice((300, 5000))))


def _renumber(field: Field, of: Sequence[Field], random: Random, _: object) -> Sequence[Field]:
    known = [other.number for other in of]
    return [replace(field, number=random.choice((*known, *range(1, 16), 2**29 - 1)))]


def _retype(field: Field, _of: Sequence[Field], random: Random, _others: object) -> Sequence[Field]:
    return [replace(field, kind=random.randrange(8))]


def _revalue(field: Field, _of: Sequence[Field], random: Random, _: object) -> Sequence[Field]:
    value = field.value
    if field.kind == VARINT:
        value = varint(random.choice(_NUMBERS)) if random.random() < 0.9 else b"\x80" * 9 + b"\x00"
    elif field.kind == LENGTH:
        value = _revalued(value, random)
    else:
        value = random.choice((value[::-1], bytes(len(value)), b"\xff" * len(value)))
    return [replace(field, value=value)]


def _revalued(value: bytes, random: Random) -> bytes:
    at = 4 * random.randrange(len(value) // 4 + 1)
    return random.choice(
        (
            lambda: random.choice(_TEXTS),
            lambda: value[:at],
            lambda: value + value[:at],
            lambda: value[:at] + random.choice(_FLOATS) + value[at + 4 :],
            lambda: varint(random.choice(_NUMBERS)),
            lambda: bytes(random.choice(_NUMBERS[:17])),
            lambda: value * random.choice((2, 3, 64)),
            lambda: mutate_bytes(value, random),
        )
    )()


def _nest(field: Field, _of: Sequence[Field], random: Random, _others: object) -> Sequence[Field]:
    value = encode([field])
    for _ in range(random.choice((1, 1, 2, 2, 3, 30, 120))):
        value = encode([replace(field, kind=LENGTH, value=value)])[:LARGEST]
    return [replace(field, kind=LENGTH, value=value)]


def _group(field: Field, _of: Sequence[Field], random: Random, _others: object) -> Sequence[Field]:
    """An unknown group, or many within one another, that need not end."""
    depth = random.choice((1, 1, 2, 2, 99, 101, random.choice((500, 5000))))
    number = random.choice((field.number, 15, 99))
    ends = depth if random.random() < 0.7 else random.randrange(depth + 1)
    begin, end = Field(number, GROUP, b""), Field(number, END_GROUP, b"")
    return [*[begin] * depth, field, *[end] * ends]


def _splice(field: Field, of: Sequence[Field], random: Random, others: object) -> Sequence[Field]:
    assert isinstance(others, Sequence)
    donor = (decode(random.choice(others)) if others else None) or of
    return [field, random.choice(donor)] if random.random() < 0.5 else [random.choice(donor)]


def _swap(field: Field, of: Sequence[Field], random: Random, _others: object) -> Sequence[Field]:
    return [replace(field, value=random.choice(of).value)]


_CHANGES: Sequence[Change] = (
    *(_drop, _repeat, _renumber, _retype, _revalue, _revalue, _revalue, _nest, _group, _splice),
    _swap,
)
