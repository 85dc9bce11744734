"""Valid messages of every method, to begin with."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from queen.api.oip import open_inference_pb2 as oip
from queen.api.v1 import admin_pb2, sensitivity_pb2
from queen.bundle import open_bundle
from tests.bundles import SmallBundle
from tests.integration.inference.door import raw_request
from tests.integration.sensitivity.calls import request_of as assess_request
from tests.unit.perturber.flagged import FINGERPRINT
from tests.unit.perturber.flagged import request_of as reverse_request

DOOR = "/inference.GRPCInferenceService"
ADMIN = "/queen.api.v1.AdminService"
ASSESS = "/queen.api.v1.SensitivityService/Assess"
REVERSE = "/queen.api.v1.PerturberService/Reverse"
INFER = f"{DOOR}/ModelInfer"
HEALTH = "/grpc.health.v1.Health"


@dataclass(frozen=True)
class Method:
    """A method with messages that it accepts, by what each of them is."""

    path: str
    messages: dict[str, Any]

    @property
    def seeds(self) -> dict[str, bytes]:
        """The messages as bytes."""
        return {name: message.SerializeToString() for name, message in self.messages.items()}

    @property
    def schema(self) -> Descriptor:
        """The type of the messages."""
        return next(iter(self.messages.values())).DESCRIPTOR


def door_methods(small: SmallBundle) -> dict[str, Method]:
    """The methods of the front door, of health and of reflection."""
    version = small.manifest.digest[:12]
    named = {"name": "small", "version": version}
    return {
        "infer": Method(INFER, _infer(small, version)),
        "metadata": Method(
            f"{DOOR}/ModelMetadata",
            {"named": oip.ModelMetadataRequest(**named), "empty": oip.ModelMetadataRequest()},
        ),
        "ready": Method(f"{DOOR}/ModelReady", {"named": oip.ModelReadyRequest(**named)}),
        "live": Method(f"{DOOR}/ServerLive", {"empty": oip.ServerLiveRequest()}),
        "check": Method(
            f"{HEALTH}/Check",
            {"door": health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService")},
        ),
        "watch": Method(f"{HEALTH}/Watch", {"process": health_pb2.HealthCheckRequest(service="x")}),
        "reflection": Method(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", _reflection()
        ),
    }


def inner_methods(small: SmallBundle) -> dict[str, Method]:
    """The methods that the front door calls."""
    rows = np.arange(6)
    policies = [
        sensitivity_pb2.AccountPolicy(
            account_id="alice", budget=9, breadth=2, class_cap=3, scope=3, observed=True
        ),
        sensitivity_pb2.AccountPolicy(
            account_id="bob", group="acme", group_budget=9, exempt=True, keyed=True
        ),
    ]
    names = ("alice", "bob")
    secrets = np.array([0, FINGERPRINT] * 3, "<u4").tobytes()
    return {
        "assess": Method(
            ASSESS,
            {
                "plain": assess_request(small, rows, names),
                "policies": assess_request(
                    small, rows, names, accounts=policies, with_facts=True, secrets=[7, 9]
                ),
            },
        ),
        "reverse": Method(
            REVERSE,
            {
                "plain": reverse_request(small, rows),
                "secrets": reverse_request(small, rows, secrets=secrets, owner="alice"),
            },
        ),
    }


def admin_methods(small: SmallBundle) -> dict[str, Method]:
    """The methods of the admin API."""
    pb, account = admin_pb2, {"account_id": "alice"}
    act = {**account, "reason": "fuzz"}
    budgets = [pb.AccountBudget(**account, budget=3), pb.AccountBudget(account_id="bob")]
    token = urlsafe_b64encode(b"alice").decode()
    kinds: dict[str, dict[str, Any]] = {
        "ListAccounts": {
            "first": pb.ListAccountsRequest(page_size=2, budgets=budgets),
            "next": pb.ListAccountsRequest(page_token=token),
        },
        "GetAccount": {"alice": pb.GetAccountRequest(**account, budget=3, breadth=1, class_cap=2)},
        "ResetAccount": {"alice": pb.ResetAccountRequest(**act)},
        "DeleteAccount": {"alice": pb.DeleteAccountRequest(**act)},
        "AuditExemption": {"alice": pb.AuditExemptionRequest(**act, exempt=True)},
        "ExportAccounts": {
            "all": pb.ExportAccountsRequest(),
            "two": pb.ExportAccountsRequest(account_ids=["alice", "bob"]),
        },
        "ImportAccounts": {"alice": _import(small)},
        "WatchCrossings": {"empty": pb.WatchCrossingsRequest()},
        "ListLinks": {"empty": pb.ListLinksRequest()},
        "ListAuditEntries": {
            "first": pb.ListAuditEntriesRequest(page_size=3),
            "next": pb.ListAuditEntriesRequest(page_token=urlsafe_b64encode(b"1").decode()),
        },
    }
    return {
        f"admin-{name.lower()}": Method(f"{ADMIN}/{name}", messages)
        for name, messages in kinds.items()
    }


def _infer(small: SmallBundle, version: str) -> dict[str, Any]:
    rows = small.inputs[:3]
    outputs = [
        oip.ModelInferRequest.InferRequestedOutputTensor(name=name)
        for name in ("label", "probabilities")
    ]
    typed = oip.ModelInferRequest(model_name="small", id="i", model_version=version)
    tensor = typed.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    tensor.parameters["a"].string_param = "b"
    typed.parameters["priority"].int64_param = 3
    return {
        "raw": raw_request(rows),
        "typed": typed,
        "outputs": raw_request(rows[:1], id="one", outputs=outputs),
    }


def _reflection() -> dict[str, Any]:
    request = reflection_pb2.ServerReflectionRequest
    return {
        "list": request(list_services=""),
        "symbol": request(file_containing_symbol="inference.GRPCInferenceService"),
        "file": request(file_by_filename="queen/api/oip/open_inference.proto"),
        "extension": request(
            file_containing_extension=reflection_pb2.ExtensionRequest(
                containing_type="inference.ModelInferRequest", extension_number=1
            )
        ),
        "numbers": request(all_extension_numbers_of_type="inference.ModelInferRequest"),
    }


def _import(small: SmallBundle) -> Any:
    geometry = open_bundle(small.path).geometry
    records = small.model.embeddings(small.inputs[small.labels == 1][:3])
    classes = [admin_pb2.ClassRecords(label=1, embeddings=records.astype("<f4").tobytes())]
    account = admin_pb2.AccountRecords(
        account_id="alice", geometry_digest=geometry.digest, classes=classes, marks=[1.5, -7.0]
    )
    return admin_pb2.ImportAccountsRequest(reason="fuzz", account=account)
