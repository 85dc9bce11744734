"""Settings of the sensitivity service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from queen.serving.settings import ServiceSettings


class SensitivitySettings(ServiceSettings):
    """Ledgers of the accounts, and verdicts on their queries."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_SENSITIVITY_")

    port: int = Field(default=8101, ge=0, le=65535)
    """Port of the gRPC server; 0 takes a free one."""
    metrics_port: int = Field(default=8102, ge=-1, le=65535)
    """Port of /metrics; 0 takes a free one, -1 serves none."""
    admin_port: int = Field(default=8103, ge=0, le=65535)
    """Port of the admin API; 0 takes a free one."""
    state: str = Field(min_length=1)
    """Path of the SQLite file with the ledgers, or memory for ones that end with the process."""
    sqlite_synchronous: Literal["full", "normal"] = "full"
    """With full a record survives the loss of power, with normal the death of the process."""
    budget: int = Field(default=100, ge=1)
    """Records of a class before reversal begins, for accounts without a budget of their own."""
    cached_accounts: int = Field(default=10_000, ge=1)
    """Accounts kept in memory; the others are read from the store when they next ask."""
    max_rows: int = Field(default=4096, ge=1)
    """Most queries in one call."""
    max_waiting: int = Field(default=256, ge=1)
    """Most calls that wait for the ledgers; more are refused."""
