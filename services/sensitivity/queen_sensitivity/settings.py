"""Settings of the sensitivity service."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from queen.defaults import BREADTH, BUDGET, CHARGE, CLASS_CAP
from queen.method.crossing import CrossingPolicy, cap_text, read_cap
from queen.method.sensitivity import Charge
from queen.serving.ports.place import is_loopback
from queen.serving.settings import ClassCap, InnerSettings
from queen_sensitivity.ledger_store import RedisOptions, is_url, read_address


class SensitivitySettings(InnerSettings):
    """Settings of the ledgers, of their store, and of the verdicts."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_SENSITIVITY_")

    port: int = Field(default=8101, ge=0, le=65535)
    """Port of the gRPC server; 0 chooses a free port."""
    metrics_port: int = Field(default=8102, ge=-1, le=65535)
    """Port of /metrics; 0 chooses a free port, -1 serves none."""
    admin_port: int = Field(default=8103, ge=0, le=65535)
    """Port of the admin API; 0 chooses a free port."""
    admin_host: str = "127.0.0.1"
    """Address that the admin API listens on; another than loopback needs tls_cert_file."""
    admin_socket: Path | None = None
    """Unix socket of the admin API, instead of its host and port."""
    operators: Path | None = None
    """File of the operators who may call the admin API, followed; without it, there is none."""
    state: str = Field(min_length=1)
    """Path of the SQLite file with the ledgers, the URL of a Redis, redis://HOST:6379 or
    rediss:// with TLS or redis+cluster://, or memory for ledgers that end with the process."""
    sqlite_synchronous: Literal["full", "normal"] = "full"
    """With full a record survives the loss of power, with normal the death of the process."""
    redis_password_file: Path | None = None
    """File with the password of Redis, instead of one in the URL; the user is that of the URL."""
    redis_ca_file: Path | None = None
    """PEM file of the authorities to trust with rediss://; without it, those of the system."""
    redis_cert_file: Path | None = None
    """PEM file of the certificate to show to Redis, if it asks for one."""
    redis_key_file: Path | None = None
    """PEM file of that certificate's key."""
    redis_timeout_seconds: float = Field(default=0.5, gt=0, le=10)
    """Longest wait for a reply of Redis."""
    redis_connect_timeout_seconds: float = Field(default=0.5, gt=0, le=10)
    """Longest wait for a connection to Redis."""
    redis_durability: Literal["none", "local", "replica"] = "none"
    """Have each append wait until it is on the disk of Redis (local), and of a replica too."""
    redis_durability_timeout_seconds: float = Field(default=2.0, gt=0, le=10)
    """Longest wait for those disks, after the wait for the reply."""
    redis_breaker_failures: int = Field(default=5, ge=1)
    """Calls in a row without an answer after which Redis is not called for a while."""
    redis_breaker_seconds: float = Field(default=1.0, gt=0)
    """Time for which Redis is not called after these failures."""
    store_probe_seconds: float = Field(default=1.0, gt=0)
    """Time between two probes of the ledger store."""
    unwritten_records: int = Field(default=0, ge=0)
    """Most records that are kept in memory alone while the ledger store takes none, and are lost
    with the process; 0 refuses the queries that would have to be recorded."""
    budget: int = Field(default=BUDGET, ge=1, lt=2**32)
    """Records of a class before it is crossed, for owners without a budget of their own."""
    breadth: int = Field(default=BREADTH, ge=1, lt=2**32)
    """Crossed classes at which an owner is over its budget, at most 3 in 5 of all classes; for
    owners without a breadth of their own."""
    class_cap: ClassCap = cap_text(CLASS_CAP)
    """Budgets of one class at which an owner is over whatever its other classes hold, or off; for
    owners without a cap of their own."""
    charge: Charge = CHARGE
    """Novel queries that are charged: those inside of the sensitive regions, as in the paper
    (regions), or all of them (anywhere): a budget then spends itself sooner."""
    cached_accounts: int = Field(default=10_000, ge=1)
    """Accounts kept in memory; the others are read from the store when they next ask."""
    survey_seconds: float = Field(default=300.0, ge=0)
    """Time between two surveys of all accounts, for alarms and suggested links; 0 makes none."""
    search: Literal["auto", "cells", "flat", "gpu"] = "auto"
    """Engine that finds the nearest records: a grid of cells, or FAISS with an index for each
    ledger (flat, or gpu on a GPU); auto chooses cells for embeddings of up to 3 axes, else flat."""
    max_rows: int = Field(default=4096, ge=1)
    """Most queries in one call."""
    max_waiting: int = Field(default=256, ge=1)
    """Most calls that wait for the ledgers; more are refused."""

    @property
    def crossing(self) -> CrossingPolicy:
        """The crossing policy of owners that state none."""
        return CrossingPolicy(self.budget, self.breadth, read_cap(self.class_cap))

    @model_validator(mode="after")
    def _require_private_admin(self) -> SensitivitySettings:
        is_open = self.admin_socket is None and not is_loopback(self.admin_host)
        if is_open and self.operators is not None and self.tls_cert_file is None:
            raise ValueError(
                f"operators' keys would travel unencrypted to admin-host {self.admin_host}; set "
                "tls-cert-file, or leave admin-host on 127.0.0.1"
            )
        return self

    @property
    def redis_options(self) -> RedisOptions:
        """The settings of the connection to Redis."""
        names = [field.name for field in fields(RedisOptions)]
        return RedisOptions(**{name: getattr(self, f"redis_{name}") for name in names})

    @model_validator(mode="after")
    def _require_state(self) -> SensitivitySettings:
        """ConfigError for a URL of another form; it is not quoted, it may hold a password."""
        if is_url(self.state):
            read_address(self.state)
        return self
