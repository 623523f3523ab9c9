"""Settings: `bal.toml` in the home, overridden by `BAL_*` in the environment."""

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from bal.core.errors import Misconfigured
from bal.core.names import is_name
from bal.core.source import Output
from bal.lane.settings import LaneSettings

HOME_VARIABLE = "BAL_HOME"
STACK_VARIABLE = "BAL_STACK"
DEFAULT_HOME = "bal-home"
CONFIG_FILE = "bal.toml"


class MqttSettings(BaseModel):
    """The field broker: the embedded one, or one outside when `broker` says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether `bal run` takes messages by MQTT.")
    broker: str = Field(
        "embedded",
        pattern="^(embedded|outside)$",
        description="`embedded` opens a broker at host and port, `outside` is a client of the one there.",
    )
    host: str = Field("127.0.0.1", description="Address of the broker.")
    port: int = Field(
        8883, ge=0, le=65_535, description="Port of the broker; 0 takes any free one (embedded)."
    )
    max_connections: int = Field(1000, ge=1, description="Most MQTT connections at a time (embedded).")
    identity: str = Field(
        "bal", description="Name of this BAL at a broker outside; begins its session names."
    )
    ca: Path | None = Field(None, description="CA of a broker outside, PEM.")
    certificate: Path | None = Field(None, description="Certificate of this BAL at a broker outside, PEM.")
    key: Path | None = Field(None, description="Key of that certificate, PEM.")
    rights: Path | None = Field(
        None,
        description="Folder where the rights at a broker outside are written, one file a BAL; empty: nowhere.",
    )


class CassandraSettings(BaseModel):
    """Apache Cassandra as the Shared Customer Database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hosts: tuple[str, ...] = Field(("127.0.0.1",), min_length=1, description="Addresses to connect to first.")
    port: int = Field(9042, ge=1, le=65_535, description="Port of the native protocol.")
    datacentre: str = Field("datacenter1", description="Data centre whose replicas make the local quorum.")
    keyspace: str = Field(
        "bal", pattern="^[a-z][a-z0-9_]{0,47}$", description="Keyspace of this BAL; one for each BAL."
    )
    role: str = Field("", description="Role to log in as: a writer for `bal run`, a reader for queries.")
    password_file: Path | None = Field(None, description="File with the role's password.")
    ca: Path | None = Field(None, description="CA of the servers, PEM.")
    certificate: Path | None = Field(None, description="Certificate of this client, PEM.")
    key: Path | None = Field(None, description="Key of that certificate, PEM.")
    server_name: str = Field("localhost", description="Name the servers' certificates must carry.")
    request_seconds: float = Field(10.0, gt=0, description="How long one request may take, seconds.")
    in_flight: int = Field(128, ge=1, le=4096, description="Most requests in flight.")


class GatewayPeer(BaseModel):
    """A peer whose Fabric Gateway is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(description="host:port")
    msp: str = Field(description="Organisation of the peer.")
    ca: Path = Field(description="TLS CA of the organisation, PEM.")
    server_name: str = Field("", description="Name the peer's certificate must carry, if not the host.")


class FabricSettings(BaseModel):
    """Hyperledger Fabric as the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateways: tuple[GatewayPeer, ...] = Field(
        (), description="Peers with a gateway, one's own organisation's first: tables of address, msp, ca."
    )
    channel: str = Field("certification", description="Channel.")
    chaincode: str = Field("certification", description="Name of the contract on the channel.")
    msp: str = Field("", description="Organisation of the identity.")
    certificate: Path | None = Field(None, description="Certificate that transactions are signed with, PEM.")
    key: Path | None = Field(None, description="Key of that certificate, PEM.")
    admin_certificate: Path | None = Field(
        None, description="Certificate that registers logs and sources (role admin), PEM."
    )
    admin_key: Path | None = Field(None, description="Key of that certificate, PEM.")
    endorse_seconds: float = Field(15.0, gt=0, description="How long an endorsement may take, seconds.")
    commit_seconds: float = Field(30.0, gt=0, description="How long a commit may take, seconds.")


class KafkaSettings(BaseModel):
    """Apache Kafka as the stream of certified readings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: tuple[str, ...] = Field((), description="Bootstrap servers, host:port; empty: no Kafka.")
    ca: Path | None = Field(None, description="CA of the servers, PEM.")
    certificate: Path | None = Field(None, description="Certificate of this BAL, PEM.")
    key: Path | None = Field(None, description="Key of that certificate, PEM.")
    admin_certificate: Path | None = Field(
        None, description="Certificate that makes topics and rights, PEM; empty: somebody else makes them."
    )
    admin_key: Path | None = Field(None, description="Key of that certificate, PEM.")
    topics: Path | None = Field(None, description="Topics file; empty takes the one that comes along.")


class PkiSettings(BaseModel):
    """The development CA."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(None, description="Folder of the CA; empty: `pki` in the home.")


class GatewaySettings(BaseModel):
    """The REST gateway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether `bal run` opens the gateway.")
    host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(8443, ge=0, le=65_535, description="Port of the gateway; 0 takes any free one.")
    public_url: str = Field(
        "",
        description="URL clients know the gateway by; the issuer of its tokens. Empty derives it from the address.",
    )
    token_seconds: int = Field(
        600, ge=30, le=86_400, description="How long an access token is valid, seconds."
    )
    docs: bool = Field(True, description="Whether the OpenAPI document and its page are served.")


class ServerSettings(BaseModel):
    """What both listeners share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1", "::1"), description="Host names and addresses of the server certificate."
    )


class LogSettings(BaseModel):
    """Logging, to standard error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least level that is written."
    )
    form: str = Field(
        "auto", pattern="^(auto|json|text)$", description="`json`, `text`, or text only on a terminal."
    )


class Settings(BaseSettings):
    """Every setting of a home. Names in the environment join with two underscores: `BAL_LANE__BATCH_LEAVES`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="BAL_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    lanes: tuple[str, ...] = Field(
        ("bal-1",), min_length=1, description="Lanes this worker runs; in an auditor's home, those he audits."
    )
    workers: int = Field(
        1, ge=0, le=64, description="Processes that parse and hash beside the service; 0 does it within."
    )
    store: str = Field(
        "sqlite", pattern="^(sqlite|cassandra)$", description="Engine of the SCD: `sqlite` or `cassandra`."
    )
    ledger: str = Field(
        "embedded", pattern="^(embedded|fabric)$", description="The ledger: `embedded` or `fabric`."
    )
    outputs: tuple[Output, ...] = Field(
        ("jsonl",), description="Outputs of a source that is registered without naming any."
    )
    lane: LaneSettings = Field(default_factory=LaneSettings)
    cassandra: CassandraSettings = Field(default_factory=CassandraSettings)
    fabric: FabricSettings = Field(default_factory=FabricSettings)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    pki: PkiSettings = Field(default_factory=PkiSettings)
    mqtt: MqttSettings = Field(default_factory=MqttSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @field_validator("lanes")
    @classmethod
    def _lanes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(is_name, names)) or len(set(names)) < len(names):
            message = "lanes have different names of 1 to 48 of a-z, 0-9 and '-'"
            raise ValueError(message)
        return names

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order: the environment over the file over the defaults."""
        del init_settings, dotenv_settings, file_secret_settings
        return (env_settings, TomlConfigSettingsSource(settings_cls))


def load(home: Path) -> Settings:
    """Return the settings of a home. `Misconfigured` names the setting that is wrong, never its value.

    A stranger with two underscores was meant as a setting and is refused; others may be somebody else's and are told
    by `strangers`.
    """
    path = home / CONFIG_FILE

    class OfHome(Settings):
        model_config = SettingsConfigDict(toml_file=path)

    for name in strangers():
        if "__" in name:
            message = "there is no such setting"
            raise Misconfigured(message, subject=name, remedy="see docs/settings.md")
    try:
        return OfHome()
    except ValidationError as error:
        first = error.errors()[0]
        subject = ".".join(map(str, first["loc"]))
        raise Misconfigured(
            first["msg"].lower(), subject=subject, remedy=f"correct {CONFIG_FILE} or BAL_*"
        ) from None
    except tomllib.TOMLDecodeError as error:
        message = f"this is not TOML ({error})"
        raise Misconfigured(message, subject=CONFIG_FILE, remedy="correct the file") from None


def strangers() -> list[str]:
    """Return the names in the environment that begin as settings do and are none."""
    known = {f"BAL_{name.upper()}" for name in Settings.model_fields} | {
        HOME_VARIABLE,
        STACK_VARIABLE,
        "BAL_HAMMER",
    }
    return sorted(name for name in os.environ if name.startswith("BAL_") and name.split("__")[0] not in known)


def described() -> list[tuple[str, Any, str]]:
    """Return (name, default, description) of every setting; the settings page is held against it."""
    found: list[tuple[str, Any, str]] = []
    for name, field in Settings.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            found += [(f"{name}.{n}", f.default, f.description or "") for n, f in nested.model_fields.items()]
        else:
            found.append((name, field.default, field.description or ""))
    return found
