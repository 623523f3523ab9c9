import json
from collections.abc import Sequence

import aiomqtt
import pytest

from bal.core.errors import Unavailable
from bal.publish import BrokerSend, CertifiedTopics, FlatTopics
from tests.certified import certified, reading, readings_of

BOTH = frozenset({"dso-a", "dso-b"})


class Collected(list[tuple[str, bytes]]):
    async def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        self.extend(messages)


async def test_one_message_per_point_and_batch_with_its_certificates() -> None:
    batch, sent = readings_of(0, count=8), Collected()
    await CertifiedTopics(sent.send).publish(batch, BOTH)
    assert [topic for topic, _ in sent] == [
        f"bal/{source}/certified/{point * 26}" for point in "ab" for source in ("dso-a", "dso-b")
    ]
    assert sent[0][1].decode() == f"[{batch.certificate(0)},{batch.certificate(4)}]"


async def test_more_certificates_than_fit_into_a_message_go_in_several() -> None:
    batch, sent = readings_of(0, count=12), Collected()
    await CertifiedTopics(sent.send, message_bytes=2_500).publish(batch, frozenset({"dso-a"}))
    assert all(len(payload) <= 2_500 for _, payload in sent)
    assert sum(len(json.loads(payload)) for _, payload in sent) == 6
    assert len(sent) > 2


async def test_the_flat_form_has_no_nesting_and_exact_numbers() -> None:
    sent = Collected()
    exact = "-1234567890123456789012.345678901234"
    await FlatTopics(sent.send).publish(certified([reading(0, value=exact)]), BOTH)
    ((topic, payload),) = sent
    assert topic == f"bal/dso-a/readings/{'a' * 26}"
    assert f'"value":{exact},'.encode() in payload
    told = json.loads(payload, parse_float=str)
    assert told == {
        "address": "log-1:0:0",
        "source": "dso-a",
        "point": "a" * 26,
        "component": "",
        "quantity": "activeEnergy",
        "reading_type": "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0",
        "phase": "none",
        "value": exact,
        "unit": "Wh",
        "timestamp": "2023-11-14T22:13:20.000000Z",
        "interval": 3600,
        "quality": "1.0.0 2.5.258",
        "received_at": "2023-11-14T22:13:20.000001Z",
        "tx_id": "tx-0",
        "anchored_at": "2023-11-14T22:13:20.000000Z",
    }


async def test_a_broker_that_is_not_there_is_unavailable() -> None:
    send = BrokerSend(lambda: aiomqtt.Client("127.0.0.1", 1, timeout=1))
    with pytest.raises(Unavailable):
        await CertifiedTopics(send).publish(readings_of(0), BOTH)
    await send.close()
