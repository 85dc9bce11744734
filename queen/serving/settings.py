"""The settings that all services share, and how flags and variables spell a setting."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from queen.errors import ConfigError
from queen.method.crossing import cap_text, read_cap
from queen.serving.ports.callers import AdmittedCallers, read_names
from queen.serving.ports.pem import PemFiles
from queen.serving.ports.place import is_loopback

CONFIG = "config"
"""The name of the flag and variable for the settings file, which is no setting itself."""


_PASSWORD = re.compile(r"(://[^/@:]*:)[^/@]+@")


def _cap_word(value: object) -> str:
    try:
        return cap_text(read_cap(value))
    except ConfigError as error:
        raise ValueError(str(error)) from error


ClassCap = Annotated[str, BeforeValidator(_cap_word)]
"""A class cap as a setting: a whole number from 1 on, or `off`."""


class ServiceSettings(BaseSettings):
    """The settings of every service.

    A subclass sets `env_prefix` and `port`, adds its own fields and describes every field in the
    string below it, which becomes the help of its flag. Made directly, it reads nothing
    but its arguments; `load_settings` reads flags, environment and file.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    bundle: Path
    """Folder of the bundle to serve."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: int = Field(ge=0, le=65535)
    """Port of the gRPC server; 0 chooses a free port."""
    socket: Path | None = None
    """Unix socket to listen on, instead of host and port; the service's user alone may connect."""
    tls_cert_file: Path | None = None
    """PEM file of the certificate to show to callers, with its chain; PEM files are followed."""
    tls_key_file: Path | None = None
    """PEM file of that certificate's key."""
    tls_client_ca_file: Path | None = None
    """PEM file of the authorities that sign callers' certificates; every caller must show one."""
    metrics_host: str = "127.0.0.1"
    """Address that the metrics listen on; 0.0.0.0 for all."""
    metrics_port: int = Field(ge=-1, le=65535)
    """Port of the Prometheus metrics; 0 chooses a free port, -1 serves none."""
    ready_file: Path | None = None
    """File that is written, with the addresses, once the service answers."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line to write."""
    log_file: Path | None = None
    """File of the log lines, readable by the service's user only; without it, stderr."""
    log_max_bytes: int = Field(default=16 * 2**20, ge=4096)
    """Size at which the file of log lines is rotated."""
    log_kept: int = Field(default=3, ge=1, le=999)
    """Rotated files of log lines that are kept."""
    drain_seconds: float = Field(default=5.0, ge=0)
    """Time that requests in flight get to finish after SIGTERM."""
    prestop_seconds: float = Field(default=0.0, ge=0)
    """Time between reporting NOT_SERVING and refusing requests, for load balancers to notice."""
    max_connections: int = Field(default=2000, ge=8)
    """Most connections at once; there are fewer if the limit of descriptors is lower."""
    max_streams: int = Field(default=128, ge=1)
    """Most calls at once on one connection, those that wait to begin included."""
    max_message_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Largest gRPC message that is received; the front door takes no larger one than it needs."""
    max_calls: int = Field(default=2048, ge=8)
    """Most calls in work at once; of one account a quarter, of callers without a key an eighth."""
    max_bytes_in_flight: int = Field(default=128 * 2**20, ge=2**20)
    """Most bytes of messages and unread answers at once: half for those that are arriving."""
    request_seconds: float = Field(default=10.0, gt=0)
    """Longest time that a message may take to arrive."""
    answer_seconds: float = Field(default=30.0, gt=0)
    """Longest time that a caller may leave an answer unread."""
    idle_seconds: float = Field(default=60.0, ge=1)
    """Time after which a connection without a call is closed."""
    health_port: int = Field(default=-1, ge=-1, le=65535)
    """Port for health alone, in plain text; 0 chooses a free port, -1 serves none."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use the arguments only: `load_settings` merges the sources, to name a value's source."""
        return (init_settings,)

    @property
    def tls_files(self) -> PemFiles | None:
        """The PEM files of the ports; None if they speak plaintext."""
        if self.tls_cert_file is None:
            return None
        return PemFiles(self.tls_cert_file, self.tls_key_file, self.tls_client_ca_file)

    @model_validator(mode="after")
    def _require_whole_tls(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("expected tls-cert-file and tls-key-file together, got one of them")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("expected tls-cert-file with tls-client-ca-file, got none")
        if self.socket is not None and self.tls_cert_file is not None:
            raise ValueError(
                "expected a socket or TLS, got both: a socket admits its user alone, unencrypted"
            )
        return self

    @classmethod
    def env_prefix(cls) -> str:
        """Prefix of the environment variables, QUEEN_SENSITIVITY_ for instance."""
        return cls.model_config.get("env_prefix", "")

    @classmethod
    def flag(cls, name: str) -> str:
        """The flag of a setting."""
        return "--" + name.replace("_", "-")

    @classmethod
    def variable(cls, name: str) -> str:
        """The environment variable of a setting."""
        return cls.env_prefix() + name.upper()

    def describe_effective(self) -> dict[str, Any]:
        """Every setting as it is in force, ready for JSON, with secrets masked."""
        values = self.model_dump(mode="json")
        return {name: _mask(getattr(self, name), value) for name, value in values.items()}


class InnerSettings(ServiceSettings):
    """The settings of a service that the front door calls, and nobody else."""

    callers: str = ""
    """Names of the certificates that may call, between commas: subject alternative names, such as
    queen-inference or a spiffe:// URI; required with tls_client_ca_file."""
    allow_anonymous_callers: bool = False
    """Required to listen on a network without tls_client_ca_file: whoever reaches the port can then
    ask in any account's name."""

    @model_validator(mode="after")
    def _require_known_callers(self) -> Self:
        if (self.tls_client_ca_file is not None) != bool(read_names(self.callers)):
            raise ValueError(
                "expected callers and tls-client-ca-file together, got one of them: an authority "
                "signs many certificates, and callers says which of them may call"
            )
        is_open = self.socket is None and not is_loopback(self.host)
        if is_open and self.tls_client_ca_file is None and not self.allow_anonymous_callers:
            raise ValueError(
                f"whoever reaches host {self.host} could ask in any account's name; set "
                "tls-client-ca-file and callers, listen on a socket or 127.0.0.1, or set "
                "allow-anonymous-callers if the network lets nobody else in"
            )
        return self

    @property
    def admitted(self) -> AdmittedCallers | None:
        """The callers that are admitted; None if whoever reaches the port is."""
        names = read_names(self.callers)
        return AdmittedCallers(names) if names else None


def holds_password(text: str) -> bool:
    """Whether a text is a URL with a password in it."""
    return _PASSWORD.search(text) is not None


def _mask(value: object, dumped: Any) -> Any:
    if isinstance(dumped, str) and not isinstance(value, SecretStr):
        return _PASSWORD.sub(r"\1***@", dumped)
    return dumped
