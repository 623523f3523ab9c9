"""A sender that publishes documents to the field broker and keeps each until its receipt."""

import asyncio
import hashlib
import json
import logging
import ssl
import time
from collections.abc import Sequence
from typing import Final

import aiomqtt

from bal.core.errors import Refused
from bal.core.topics import accepted_topic, cim_topic, rejected_topic

_SECONDS: Final = 60.0
_quiet = logging.getLogger("bal.bench.mqtt")
_quiet.setLevel(logging.ERROR)


class Sending:
    """One source's documents: as many as `window` without a receipt, or one every `pause` seconds."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext, source: str, *, window: int) -> None:
        self._client = aiomqtt.Client(
            host, port, identifier=f"{source}.bench", tls_context=tls, timeout=_SECONDS, logger=_quiet
        )
        self._source = source
        self._window = window
        self.sent: list[float] = []
        """When (monotonic) each document was handed to MQTT."""
        self.receipted: list[float] = []
        """How long after that each receipt came, seconds, in order of receipt."""

    async def run(self, documents: Sequence[bytes], pause: float = 0.0) -> None:
        """Send all of them; return once each has its receipt. `Refused` when the BAL takes one of them not."""
        numbers = {hashlib.sha256(each).hexdigest(): number for number, each in enumerate(documents)}
        turns = asyncio.Semaphore(self._window)
        async with self._client as client:
            await client.subscribe([(accepted_topic(self._source), 1), (rejected_topic(self._source), 1)])
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receipts(client, numbers, turns))
                begun = time.monotonic()
                for number, each in enumerate(documents):
                    await turns.acquire()
                    wait = begun + number * pause - time.monotonic()
                    if pause and wait > 0:
                        await asyncio.sleep(wait)
                    self.sent.append(time.monotonic())
                    group.create_task(client.publish(cim_topic(self._source), each, qos=1))

    async def _receipts(
        self, client: aiomqtt.Client, numbers: dict[str, int], turns: asyncio.Semaphore
    ) -> None:
        accepted = accepted_topic(self._source)
        async for message in client.messages:
            body = json.loads(bytes(message.payload))
            if message.topic.value != accepted:
                text = "the BAL refuses readings of the bench"
                raise Refused(text, subject=self._source, remedy="see `bal rejections`")
            number = numbers.pop(body["digest"])
            self.receipted.append(time.monotonic() - self.sent[number])
            turns.release()
            if not numbers:
                return
