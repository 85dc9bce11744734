"""Calls with mutated messages and odd credentials, and the codes that each may end with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from random import Random

from google.protobuf.message import DecodeError

from queen.api.oip import open_inference_pb2 as oip
from queen.bundle import open_bundle
from tests.bundles import SmallBundle
from tests.fuzz.methods import Metadata
from tests.fuzz.mutations import mutate_message
from tests.fuzz.problems import Digests, corpus_of
from tests.fuzz.targets.messages import (
    ADMIN,
    ASSESS,
    DOOR,
    HEALTH,
    INFER,
    REVERSE,
    Method,
    admin_methods,
    door_methods,
    inner_methods,
)
from tests.operators import ANA, DASHBOARD

GIANTS_EVERY = 2000
"""The number of messages of which one has a million fields."""
_STRANGE = (
    *("", "Bearer", "Bearer ", "bearer  key-of-hostile ", "Basic a2V5", "Bearer " + "k" * 4000),
    *("Bearer ..", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer a.b.c", "Bearer key-of-nobody"),
)
_ODD: Sequence[tuple[str, str | bytes]] = (
    *(("x-bin", b"\xff\x00\xfe"), ("grpc-trace-bin", b"\x00" * 30), ("authorization", "Basic x")),
    *(("traceparent", "00-x"), ("x-forwarded-for", "127.0.0.1, ::1"), ("a" * 200, "b" * 2000)),
)


@dataclass(frozen=True)
class Attempt:
    """A call: the port, the method, its message, and whether it is sent compressed.

    `must_fail` says that no message of the kind may be answered.
    """

    port: str
    path: str
    data: bytes
    metadata: Metadata = ()
    is_compressed: bool = False
    must_fail: bool = False

    def to_json(self) -> bytes:
        """The text of the attempt, for a file of the corpus."""
        fields = {
            **asdict(self),
            "data": self.data.hex(),
            "metadata": [
                [name, value if isinstance(value, str) else {"hex": value.hex()}]
                for name, value in self.metadata
            ],
        }
        return json.dumps(fields, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Attempt:
        """The attempt of such a text."""
        fields = json.loads(text)
        metadata = tuple(
            (name, value if isinstance(value, str) else bytes.fromhex(value["hex"]))
            for name, value in fields.pop("metadata")
        )
        return cls(**{**fields, "data": bytes.fromhex(fields["data"]), "metadata": metadata})


def known_attempts(small: SmallBundle) -> list[Attempt]:
    """The attempts of the corpus, for the bundle that is served."""
    digests = Digests.of(open_bundle(small.path))
    known = [Attempt.from_json(path.read_bytes()) for path in corpus_of("live")]
    return [replace(attempt, data=digests.bind(attempt.data)) for attempt in known]


class Attempts:
    """Draws calls: the methods of all services, the credentials of accounts and operators."""

    def __init__(self, small: SmallBundle, random: Random) -> None:
        self._random = random
        kinds = (
            *(("inference", name, method) for name, method in door_methods(small).items()),
            *(
                ("sensitivity" if name == "assess" else "perturber", name, method)
                for name, method in inner_methods(small).items()
            ),
            *(("admin", name, method) for name, method in admin_methods(small).items()),
        )
        digests = Digests.of(open_bundle(small.path))
        self._kinds = [
            (port, name, method, _pool(name, method, digests)) for port, name, method in kinds
        ]
        # The methods that work on tensors are worth more.
        self._weights = [
            8 if name == "infer" else 3 if name in {"assess", "reverse"} else 1
            for _, name, _ in kinds
        ]
        self._drawn = 0

    def draw(self) -> Attempt:
        """The next call."""
        random = self._random
        self._drawn += 1
        if self._drawn % GIANTS_EVERY == 0:
            return _giant(random)
        ((port, _, method, pool),) = random.choices(self._kinds, self._weights)
        data = mutate_message(random.choice(pool), random, pool)
        if random.random() < 0.02:
            path = random.choice((f"{method.path}s", "/", "/a/b/c", f"{DOOR}/ModelStreamInfer"))
            return Attempt(port, path, data, must_fail=True)
        if port == "inference" and method.path == INFER and random.random() < 0.3:
            return self._careless(data)
        metadata, is_known = self._credential(port)
        needs = method.path == INFER or (port == "admin" and method.path.startswith(ADMIN))
        if random.random() < 0.05:
            metadata = (random.choice(_ODD), *metadata)
            # The first of two headers counts; for operators the first of the scheme Bearer.
            is_known = is_known and (port == "admin" or metadata[0][0] != "authorization")
        is_compressed = random.random() < 0.1
        return Attempt(
            port, method.path, data, metadata, is_compressed, must_fail=needs and not is_known
        )

    def _careless(self, data: bytes) -> Attempt:
        """A message with a key that no front door may answer, whatever else is in it."""
        try:
            oip.ModelInferRequest.FromString(data)
            # An extra input, another model, or an open group: no request has any of them.
            data += self._random.choice((b"\x2a\x00", b"\x0a\x05other", b"\x7b"))
        except DecodeError:
            pass
        return Attempt("inference", INFER, data, _bearer("key-of-careless"), must_fail=True)

    def _credential(self, port: str) -> tuple[Metadata, bool]:
        random = self._random
        if port in {"sensitivity", "perturber"}:
            return (), True
        if random.random() < 0.2:
            header = random.choice(_STRANGE)
            return (("authorization", header),), header.startswith("bearer ")
        if random.random() < 0.1:
            return (), False
        if port == "admin":
            # A reader may call half of the methods.
            return _bearer(random.choice((ANA, ANA, DASHBOARD))), True
        return _bearer("key-of-hostile"), True


def _pool(name: str, method: Method, digests: Digests) -> list[bytes]:
    known = (digests.bind(path.read_bytes()) for path in corpus_of(name))
    return [*method.seeds.values(), *known]


def _bearer(key: str) -> Metadata:
    return (("authorization", f"Bearer {key}"),)


def _giant(random: Random) -> Attempt:
    """A million fields of two bytes each, in a few kilobytes where they are compressed."""
    port, path, tag = random.choice(
        (
            ("inference", INFER, b"\x2a"),
            ("inference", f"{DOOR}/ModelMetadata", b"\x0a"),
            ("inference", f"{HEALTH}/Check", b"\x0a"),
            ("sensitivity", ASSESS, b"\x12"),
            ("perturber", REVERSE, b"\x12"),
            ("admin", f"{ADMIN}/ListAccounts", b"\x1a"),
            ("admin", f"{ADMIN}/ExportAccounts", b"\x0a"),
        )
    )
    key = {"inference": _bearer("key-of-hostile"), "admin": _bearer(ANA)}.get(port, ())
    data = (tag + b"\x00") * (2**20 + 1)
    return Attempt(port, path, data, key, is_compressed=True, must_fail=True)
