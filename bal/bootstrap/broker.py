"""An MQTT broker outside as the settings name it."""

from pathlib import Path

from bal.config import MqttSettings
from bal.core.errors import Misconfigured
from bal.ingest import MqttSettings as MqttAccess
from bal.ingest import RightsFolder, may_publish


def broker_access(settings: MqttSettings, session: str = "") -> MqttAccess:
    """Return how the BAL connects under a session name, by default under any. `Misconfigured` where something is missing."""
    ca, certificate, key = (_needed(settings, name) for name in ("ca", "certificate", "key"))
    return MqttAccess(settings.host, settings.port, session, ca, certificate, key)


def rights_folder(settings: MqttSettings) -> RightsFolder | None:
    """Return the folder of the broker's rights; None where they are not written from here. `Misconfigured`."""
    if settings.broker == "embedded" or settings.rights is None:
        return None
    access = broker_access(settings)
    return RightsFolder(settings.rights, lambda topic: may_publish(access, topic), settings.identity)


def _needed(settings: MqttSettings, name: str) -> Path:
    path: Path | None = getattr(settings, name)
    if path is None:
        message = "this setting is missing, and the MQTT broker is outside"
        raise Misconfigured(message, subject=f"mqtt.{name}", remedy="set it in bal.toml")
    return path
