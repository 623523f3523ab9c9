"""A running service, and clients of its doors that know nothing of the BAL's code."""

import json
import queue
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Any, Self

import httpx
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from tests.e2e.command import SECONDS, Shell, arguments, environment
from tests.patience import PATIENCE


class Service(Shell):
    """`bal run` in a process of its own."""

    options: tuple[str, ...] = ("--mqtt-port", "0", "--gateway-port", "0")
    """Free ports for its doors."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        home.parent.mkdir(parents=True, exist_ok=True)
        self.log = home.parent / f"{home.name}.log"
        words: tuple[str | Path, ...] = ("run", "--json", *self.options, "--home", home)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                arguments(*words), stdout=subprocess.PIPE, stderr=log, env=environment(), text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.facts: dict[str, Any] = json.loads(line)

    @property
    def broker(self) -> tuple[str, int]:
        """Host and port of the broker."""
        host, _, port = self.facts["mqtt"].rpartition(":")
        return host, int(port)

    @property
    def ca(self) -> str:
        """File of the CA's certificate."""
        return str(self.home / "pki" / "ca.crt")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        with self.process:
            return self.process.wait(SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        with self.process:
            self.process.wait(SECONDS)


class Field:
    """A standard MQTT client, in a thread of its own."""

    def __init__(
        self,
        service: Service,
        *,
        certificate: tuple[str, str] | None = None,
        user: tuple[str, str] | None = None,
    ) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self._answers: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._client = client = Client(CallbackAPIVersion.VERSION2)
        context = ssl.create_default_context(cafile=service.ca)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        client.tls_set_context(context)
        if user is not None:
            client.username_pw_set(*user)
        client.on_connect = lambda _c, _u, _f, code, _p: self._answers.put(("connected", not code.is_failure))
        client.on_disconnect = lambda *_: self._answers.put(("disconnected", None))
        client.on_subscribe = lambda _c, _u, _m, codes, _p: self._answers.put(
            ("subscribed", [not code.is_failure for code in codes])
        )
        client.on_message = lambda _c, _u, message: self.messages.put(message)
        self._service = service

    def connect(self) -> bool:
        """Connect; return whether the broker let it in."""
        self._client.connect_timeout = PATIENCE
        self._client.connect(*self._service.broker, keepalive=30)
        self._client.loop_start()
        kind, answer = self._answers.get(timeout=PATIENCE)
        return kind == "connected" and bool(answer)

    def subscribe(self, topic: str) -> bool:
        """Subscribe; return whether that was granted."""
        self._client.subscribe(topic, qos=1)
        return self._answers.get(timeout=PATIENCE) == ("subscribed", [True])

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> bool:
        """Publish with quality of service 1; return whether the broker has it."""
        sent = self._client.publish(topic, body, qos=1, retain=retain)
        if sent.rc is MQTTErrorCode.MQTT_ERR_NO_CONN:
            return False
        sent.wait_for_publish(PATIENCE)
        return sent.is_published()

    def next(self) -> tuple[str, Any]:
        """Return topic and JSON of the next message."""
        message = self.messages.get(timeout=PATIENCE)
        return message.topic, json.loads(message.payload)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Web(httpx.Client):
    """An HTTPS client of the gateway with a token."""

    def __init__(self, service: Service, name: str, secret: str) -> None:
        super().__init__(
            base_url=service.facts["gateway"],
            verify=ssl.create_default_context(cafile=service.ca),
            timeout=PATIENCE,
        )
        self._credentials = name, secret

    def authorize(self) -> int:
        """Get a token and send it from now on; return the status of the answer."""
        grant = {"grant_type": "client_credentials"}
        answer = self.post("/oauth/token", data=grant, auth=self._credentials)
        if answer.status_code == httpx.codes.OK:
            self.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer.status_code
