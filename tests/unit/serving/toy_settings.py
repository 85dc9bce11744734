"""Settings of no service, for the tests of what all services share."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from queen.serving.settings import ServiceSettings


class Color(StrEnum):
    """An enumeration whose values are not the names of its members."""

    RED = "crimson"
    BLUE = "navy"


class ToySettings(ServiceSettings):
    """Settings of no service."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_TOY_")

    port: int = Field(default=9001, ge=0, le=65535)
    """Port of the toy."""
    metrics_port: int = Field(default=-1, ge=-1, le=65535)
    """Port of its metrics."""
    loud: bool = False
    """Whether it squeaks."""
    color: Color = Color.RED
    """Its paint, 100% washable."""
    token: SecretStr = SecretStr("")
    """Its secret."""
    store: str = "memory"
    """Its shelf."""
