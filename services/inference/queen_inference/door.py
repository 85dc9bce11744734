"""The front door without a transport: it accepts and returns plain values.

Shapes: R queries of a request, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from queen.bundle import InputRange, Manifest, TensorSignature
from queen.errors import ModelNotFound
from queen.serving.auth import Account, Keyring
from queen.serving.identity.certificates import NO_CONTEXT, AuthContext
from queen_inference.batching import MicroBatcher
from queen_inference.protectee import Array

PROBABILITIES, LABEL = "probabilities", "label"
OUTPUTS = (PROBABILITIES, LABEL)
"""Names of the outputs; the first is sent where a request names none."""


@dataclass(frozen=True)
class ServedModel:
    """The model as callers see it; its version is the beginning of the bundle's digest."""

    name: str
    version: str
    input: TensorSignature
    outputs: Sequence[TensorSignature]
    class_names: Sequence[str]
    input_range: InputRange | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> ServedModel:
        """The model of a bundle."""
        outputs = [
            TensorSignature(name=PROBABILITIES, datatype="FP32", shape=[-1, manifest.num_classes]),
            TensorSignature(name=LABEL, datatype="INT64", shape=[-1]),
        ]
        version = manifest.digest[:12]
        return cls(
            manifest.model_name,
            version,
            manifest.input,
            outputs,
            manifest.class_names,
            manifest.input_range,
        )


class FrontDoor:
    """The model that is served, its accounts, and the way of a request through them."""

    def __init__(
        self, model: ServedModel, keyring: Keyring, batcher: MicroBatcher, max_request_rows: int
    ) -> None:
        self.model = model
        self.max_request_rows = max_request_rows
        self._keyring = keyring
        self._batcher = batcher

    def authenticate(
        self, metadata: Iterable[tuple[str, Any]] | None, peer: AuthContext = NO_CONTEXT
    ) -> Account:
        """The account that sent a request, by its metadata or its client certificate.

        Raises Unauthenticated or PermissionDenied for any other credential.
        """
        return self._keyring.authenticate(metadata, peer)

    def is_quick(self, metadata: Iterable[tuple[str, Any]] | None) -> bool:
        """Whether `authenticate` has to verify no signature for this metadata."""
        return self._keyring.is_quick(metadata)

    def serves(self, name: str, version: str) -> bool:
        """Whether a model is the served model; an empty version leaves the choice to the server."""
        return name == self.model.name and version in {"", self.model.version}

    def require_model(self, name: str, version: str) -> None:
        """ModelNotFound for any model but the served model."""
        if name != self.model.name:
            raise ModelNotFound(
                f"expected model '{self.model.name}', got '{name}'", field="model_name"
            )
        if version not in {"", self.model.version}:
            raise ModelNotFound(
                f"expected version '{self.model.version}' of model '{name}', or none, "
                f"got '{version}'",
                field="model_version",
            )

    async def infer(
        self,
        account: Account,
        inputs: Array,
        names: Sequence[str],
        remaining_seconds: float | None,
        request_id: str,
    ) -> dict[str, Array]:
        """Outputs by name, of `names` among OUTPUTS, for the queries (R, ...) of an account.

        Raises OutOfRange for numbers beyond the bounds of the input, which is charged nothing, and
        Overloaded, DeadlineExceeded or DependencyUnavailable if there is no answer.
        """
        if self.model.input_range is not None:
            self.model.input_range.require_inside(inputs, self.model.input.name)
        answers = await self._batcher.submit(account, inputs, remaining_seconds, request_id)
        # The label is that of the answer, not the protectee's: where they differ, sending the
        # protectee's would show that the answer is reversed.
        return {
            name: answers if name == PROBABILITIES else answers.argmax(axis=1) for name in names
        }
