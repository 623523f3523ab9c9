"""Where certified readings go out: files, MQTT topics, event streams."""

from bal.publish.closed import ClosedOutput
from bal.publish.jsonl import JsonLines
from bal.publish.mqtt import BrokerSend, CertifiedTopics, FlatTopics, Send, send_each
from bal.publish.stream import Event, EventStream, Subscription

__all__ = [
    "BrokerSend",
    "CertifiedTopics",
    "ClosedOutput",
    "Event",
    "EventStream",
    "FlatTopics",
    "JsonLines",
    "Send",
    "Subscription",
    "send_each",
]
