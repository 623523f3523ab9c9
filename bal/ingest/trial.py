"""Whether a broker outside lets somebody publish: tried with an empty message (MQTT 5, 3.4.2.1). Blocking."""

import time
from typing import Any, Final

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from bal.core.errors import Unavailable
from bal.ingest.mqtt import MqttSettings

ANSWER_SECONDS: Final = 5.0
_LOOP_SECONDS: Final = 0.1


def may_publish(access: MqttSettings, topic: str) -> bool:
    """Tell whether the broker takes a message on `topic`. Raises `Unavailable` when it does not answer or let us in."""
    client = Client(CallbackAPIVersion.VERSION2, access.client_id, protocol=MQTTv5)
    client.username_pw_set(access.username, access.password)
    client.tls_set_context(access.tls())
    client.connect_timeout = ANSWER_SECONDS
    refused: list[bool] = []
    let_in: list[bool] = []

    def connected(asking: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        let_in.append(not reason.is_failure)
        if let_in[0]:
            asking.publish(topic, b"", qos=1)

    client.on_connect = connected
    client.on_publish = lambda _client, _data, _id, reason, _properties: refused.append(reason.is_failure)
    end = time.monotonic() + ANSWER_SECONDS
    try:
        client.connect(access.host, access.port)
        while not refused and let_in != [False] and time.monotonic() < end:
            if client.loop(_LOOP_SECONDS) != MQTT_ERR_SUCCESS:
                break
        client.disconnect()
    except OSError as error:
        raise _silent(access) from error
    if not refused:
        raise _silent(access)
    return not refused[0]


def _silent(access: MqttSettings) -> Unavailable:
    message = "the MQTT broker does not say what may be published"
    return Unavailable(message, subject=access.host, remedy="check that it runs and takes this certificate")
