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
from bal.lane.settings import LaneSettings

HOME_VARIABLE = "BAL_HOME"
DEFAULT_HOME = "bal-home"
CONFIG_FILE = "bal.toml"


class MqttSettings(BaseModel):
    """The field broker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether `bal run` opens the embedded MQTT broker.")
    host: str = Field("127.0.0.1", description="Address the broker listens on.")
    port: int = Field(8883, ge=0, le=65_535, description="Port of the broker; 0 takes any free one.")
    max_connections: int = Field(1000, ge=1, description="Most MQTT connections at a time.")


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

    lanes: tuple[str, ...] = Field(("bal-1",), min_length=1, description="Lanes this worker runs.")
    workers: int = Field(
        1, ge=0, le=64, description="Processes that parse and hash beside the service; 0 does it within."
    )
    lane: LaneSettings = Field(default_factory=LaneSettings)
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
    known = {f"BAL_{name.upper()}" for name in Settings.model_fields} | {HOME_VARIABLE, "BAL_HAMMER"}
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
