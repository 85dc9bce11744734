"""Settings of the inference service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from queen.defaults import PROFILE
from queen.errors import ConfigError
from queen.method.contracts import BALANCED_L1, Profile
from queen.serving.ports.pem import PemFiles
from queen.serving.settings import ServiceSettings
from queen_inference.peers.endpoints import read_target

FailureMode = Literal["protect", "deny", "allow"]
HeldAnswers = Literal["none", "over", "reversed", "all"]


class InferenceSettings(ServiceSettings):
    """The front door: runs the protectee and gives defended answers."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_INFERENCE_")

    port: int = Field(default=8001, ge=0, le=65535)
    """Port of the gRPC server; 0 chooses a free one."""
    metrics_port: int = Field(default=8002, ge=-1, le=65535)
    """Port of the Prometheus metrics; 0 chooses a free one, -1 serves none."""
    accounts: Path
    """File of the accounts that may call, followed without a restart."""
    private_metadata: bool = False
    """Ask for a credential before server metadata, model metadata and reflection, too."""
    jwt_issuer: str | None = Field(default=None, min_length=1)
    """Issuer (iss) of the JSON Web Tokens that are accepted beside keys; none without it."""
    jwt_audience: str | None = Field(default=None, min_length=1)
    """Audience (aud) that a token must name: this service."""
    jwt_key_set: Path | None = None
    """File of the issuer's public keys, a JSON Web Key Set, followed without a restart."""
    jwt_skew_seconds: float = Field(default=30.0, ge=0, le=300)
    """Largest difference between the clocks of the issuer and this service."""
    jwt_account_claim: str = Field(default="sub", min_length=1)
    """Claim that accounts.yaml lists as an account's subject."""
    jwt_group_claim: str | None = Field(default=None, min_length=1)
    """Claim that names the group of an account whose entry states none."""
    jwt_tier_claim: str | None = Field(default=None, min_length=1)
    """Claim that names the tier, of accounts.yaml, of an account whose entry states none."""
    jwt_unlisted: Literal["refuse", "admit"] = "refuse"
    """A token whose subject no account lists: PERMISSION_DENIED, or an account of that name."""
    sensitivity_target: str = "127.0.0.1:8101"
    """gRPC target of the sensitivity service, or HOST:PORT or unix:/PATH of each replica, between
    commas."""
    resolve_seconds: float = Field(default=2.0, gt=0)
    """Time between two look-ups of the names in sensitivity_target."""
    perturber_target: str = "127.0.0.1:8201"
    """gRPC target of the perturber service: one address, a name that resolves to all perturbers, or
    their addresses between commas."""
    peer_ca_file: Path | None = None
    """PEM file of the authorities that sign the certificates of both; with it they are called over
    TLS."""
    peer_cert_file: Path | None = None
    """PEM file of the certificate to show to both, followed like the others."""
    peer_key_file: Path | None = None
    """PEM file of that certificate's key."""
    sensitivity_name: str = ""
    """Name that a certificate of sensitivity must have, instead of the host of its target."""
    perturber_name: str = ""
    """Name that a certificate of the perturber must have, instead of the host of its target."""
    await_peers_seconds: float = Field(default=0.0, ge=0)
    """Longest wait at the start for every peer to be reached once, and exit if one was not; with 0
    this service answers in its failure mode meanwhile."""
    default_profile: Profile = PROFILE
    """Profile of the accounts that name none."""
    balanced_l1: float = Field(default=BALANCED_L1, gt=0, le=2)
    """Largest L1 distance to the model's own answer under the profile balanced."""
    failure_mode: FailureMode = "protect"
    """Answer while sensitivity is out of reach: label-only, UNAVAILABLE, or clean."""
    unassessed_rows: int = Field(default=1000, ge=0)
    """Most label-only answers of an account or group until it gets a verdict again, or a reversed
    answer while the perturber is missing; then UNAVAILABLE."""
    allow_clean_answers: bool = False
    """Required by failure_mode allow, which lets clean probabilities out."""
    threads: int = Field(default=1, ge=1)
    """Threads that ONNX Runtime computes with."""
    max_batch_rows: int = Field(default=1024, ge=1, le=65536)
    """Most queries in one micro-batch of several requests."""
    max_request_rows: int = Field(default=1024, ge=1)
    """Most queries in one request."""
    queue_rows: int = Field(default=4096, ge=1)
    """Most queries that wait or run at once; then whoever holds most gives way."""
    account_rows: int = Field(default=2048, ge=1)
    """Most queries of one account that wait or run at once."""
    flagged_rows: int = Field(default=4096, ge=1)
    """Most flagged queries that wait for the perturber; an account or group holds at most half."""
    batches_in_flight: int = Field(default=1, ge=1, le=64)
    """Most micro-batches that run or wait for verdicts at once; a lower limit makes them larger."""
    assess_timeout_seconds: float = Field(default=0.5, gt=0)
    """Longest wait for the verdicts on a micro-batch."""
    assess_patience_seconds: float = Field(default=0.1, ge=0)
    """Requests whose deadline leaves less than this for the verdict get no answer."""
    reverse_timeout_seconds: float = Field(default=2.0, gt=0)
    """Longest wait for a reversed answer."""
    held_answers: HeldAnswers = "reversed"
    """Answers whose time must not tell the verdict: those of owners over their budgets, by having
    the perturber answer each of their queries; all under paper, balanced and strict; all; none."""
    hold_seconds: float = Field(default=0.01, gt=0, le=1)
    """Held answers, but for those of over alone, leave no sooner than this after their requests."""
    deadline_margin_seconds: float = Field(default=0.01, ge=0)
    """Time before a request's deadline at which its answer is no longer waited for."""
    probe_seconds: float = Field(default=1.0, gt=0)
    """Time between two health probes of a peer."""
    decision_log: Literal["off", "flagged", "all"] = "flagged"
    """Requests that get a decision record: none, those with a REVERSE, or all."""
    decision_log_file: Path | None = None
    """File of the decision records, readable by the service's user only; without it, stderr."""
    decision_log_max_bytes: int = Field(default=64 * 2**20, ge=4096)
    """Size at which the file of decision records is rotated."""
    decision_log_kept: int = Field(default=9, ge=1, le=999)
    """Rotated files of decision records that are kept."""
    decision_log_hours: float = Field(default=1.0, gt=0)
    """Hours that all of these files last at least: once an owner's share of a minute is full, only
    its queries that changed a ledger are written, and the rest is counted."""
    decision_log_sample: float = Field(default=1.0, ge=0, le=1)
    """Share of the requests with PRESERVE alone that are written where decision_log is all."""

    @field_validator("sensitivity_target", "perturber_target")
    @classmethod
    def _require_target(cls, target: str) -> str:
        try:
            read_target(target)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return target

    @field_validator("sensitivity_target")
    @classmethod
    def _require_known_replicas(cls, target: str) -> str:
        if any(part.is_balanced for part in read_target(target)):
            raise ValueError(
                "expected HOST:PORT or unix:/PATH of each replica, or a name that resolves to "
                f"all, got {target}, among whose replicas gRPC chooses for each call: an account "
                "that is spread over replicas stays below its budget"
            )
        return target

    @property
    def peer_files(self) -> PemFiles | None:
        """The PEM files of the channels to peers; None for plaintext."""
        if self.peer_ca_file is None:
            return None
        return PemFiles(self.peer_cert_file, self.peer_key_file, self.peer_ca_file)

    @property
    def expected_sensitivity_name(self) -> str:
        """The name of its certificates; empty if each has the address of its endpoint."""
        return self.sensitivity_name or _lone_host(self.sensitivity_target)

    @property
    def expected_perturber_name(self) -> str:
        """The name of its certificates; empty if each has the address of its endpoint."""
        return self.perturber_name or _lone_host(self.perturber_target)

    @model_validator(mode="after")
    def _require_whole_peer_tls(self) -> Self:
        if (self.peer_cert_file is None) != (self.peer_key_file is None):
            raise ValueError("expected peer-cert-file and peer-key-file together, got one of them")
        if self.peer_ca_file is None:
            if self.peer_cert_file is not None:
                raise ValueError("expected peer-ca-file with peer-cert-file, got none")
            return self
        _, *others = parts = read_target(self.sensitivity_target)
        if others and not self.sensitivity_name and any(part.is_name for part in parts):
            raise ValueError(
                "expected sensitivity-name, which the certificates of all replicas have, for "
                "names between commas in sensitivity-target"
            )
        return self

    @model_validator(mode="after")
    def _require_consistent(self) -> Self:
        if self.failure_mode == "allow" and not self.allow_clean_answers:
            raise ValueError(
                "failure-mode allow sends clean probabilities while sensitivity is out of reach; "
                "set allow-clean-answers too if that is meant, or choose failure-mode protect"
            )
        token = (self.jwt_issuer, self.jwt_audience, self.jwt_key_set)
        if None in token and any(part is not None for part in token):
            raise ValueError(
                "expected jwt-issuer, jwt-audience and jwt-key-set together, or none of them"
            )
        if not self.max_request_rows <= self.account_rows <= self.queue_rows:
            raise ValueError(
                "expected max-request-rows <= account-rows <= queue-rows, got "
                f"{self.max_request_rows}, {self.account_rows}, {self.queue_rows}"
            )
        return self


def _lone_host(target: str) -> str:
    """The host of a target with one part; empty if there are several, or none with a host."""
    first, *others = read_target(target)
    return "" if others else first.host or ""
