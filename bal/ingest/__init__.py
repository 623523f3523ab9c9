"""The doors messages come in by: the embedded MQTT broker, any other MQTT broker."""

from bal.ingest.accounts import Accounts
from bal.ingest.broker import BrokerSettings, EmbeddedBroker
from bal.ingest.embedded import EmbeddedInbox, Intake
from bal.ingest.mqtt import MqttInbox, MqttSettings

__all__ = [
    "Accounts",
    "BrokerSettings",
    "EmbeddedBroker",
    "EmbeddedInbox",
    "Intake",
    "MqttInbox",
    "MqttSettings",
]
