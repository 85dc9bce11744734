"""Settings of the perturber: its secret, its device, and how much it computes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from queen.serving.settings import InnerSettings


class PerturberSettings(InnerSettings):
    """The perturber: answers for the queries whose verdict is REVERSE."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_PERTURBER_")

    port: int = Field(default=8201, ge=0, le=65535)
    """Port of the gRPC server; 0 chooses a free port."""
    metrics_port: int = Field(default=8202, ge=-1, le=65535)
    """Port of /metrics; 0 chooses a free port, -1 serves none."""
    secret_file: Path
    """File with the secret, of at least 16 bytes, that keys the answers; it is followed."""
    retiring_secret_file: Path | None = None
    """File with the secret before that, for owners that were answered under it; it is followed, and
    while it is missing or empty no secret retires."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the shadow models; auto chooses a GPU if there is one."""
    threads: int = Field(default=1, ge=1)
    """Threads of Torch on the CPU."""
    max_rows: int = Field(default=4096, ge=1)
    """Most queries in a call."""
    max_waiting: int = Field(default=256, ge=1)
    """Most calls that wait for the shadow models; more are refused."""
