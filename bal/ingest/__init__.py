"""The doors messages come in by: the embedded MQTT broker, any other MQTT broker."""

from bal.ingest.accounts import Accounts
from bal.ingest.broker import BrokerSettings, EmbeddedBroker
from bal.ingest.broker_accounts import BrokerAccounts
from bal.ingest.embedded import EmbeddedInbox, Intake
from bal.ingest.mqtt import MqttInbox, MqttSettings, session_name
from bal.ingest.rights import BrokerRights
from bal.ingest.rights_folder import RightsFolder
from bal.ingest.trial import may_publish

__all__ = [
    "Accounts",
    "BrokerAccounts",
    "BrokerRights",
    "BrokerSettings",
    "EmbeddedBroker",
    "EmbeddedInbox",
    "Intake",
    "MqttInbox",
    "MqttSettings",
    "RightsFolder",
    "may_publish",
    "session_name",
]
