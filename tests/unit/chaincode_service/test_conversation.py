"""The stream with a peer: what the library loses, answers wrongly or never, or tells a log."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

import grpc
import pytest
from fabric_protos.peer.chaincode_shim_pb2 import ChaincodeMessage, GetState
from fabric_protos.peer.proposal_pb2 import SignedProposal
from fabric_protos.peer.proposal_response_pb2 import Response

from bal.stack.fabric.authority import Authority
from chaincode_service import contract
from chaincode_service.server import is_healthy
from tests.counts import counts
from tests.unit.chaincode.memory import argument, chain
from tests.unit.chaincode_service.conftest import Running, credentials, settings_of
from tests.unit.chaincode_service.peer import Peer

MARK = b"SECRET-4711"


async def test_a_transaction_reads_writes_and_is_answered(service: Running) -> None:
    async with service.peer() as peer:
        answer = await peer.answer("tx-1", b"RegisterLog", b"bal-1", proposed=service.by("admin"))
    assert (answer.status, json.loads(answer.payload)) == (
        200,
        {"log": "bal-1", "organisation": "DsoMSP", "time": "2026-01-01T00:00:00.123456Z", "tx_id": "tx-1"},
    )
    assert set(peer.state) == {"log/bal-1", "head/bal-1"}
    assert peer.package_id == service.settings.package_id


async def test_an_anchor_is_announced_by_an_event(service: Running) -> None:
    async with service.peer() as peer:
        admin = service.by("admin")
        await peer.answer("tx-1", b"RegisterLog", b"bal-1", proposed=admin)
        await peer.answer("tx-2", b"RegisterSource", b"dso-a", proposed=admin)
        anchors = argument(chain(2)).encode()
        done = await peer.transact("tx-3", b"Anchor", anchors, proposed=service.by("client"))
    assert done.chaincode_event.event_name == "anchored"
    assert json.loads(done.chaincode_event.payload)["next"] == 2
    assert done.chaincode_event.tx_id == "tx-3"


async def test_a_refusal_is_answered_with_its_code(service: Running) -> None:
    async with service.peer() as peer:
        answer = await peer.answer("tx-1", b"RegisterLog", b"bal-1", proposed=service.by("client"))
        assert not peer.state
    assert answer.status == 400
    assert json.loads(answer.message)["code"] == "not_admin"
    assert not answer.payload


async def test_many_overlapping_transactions_lose_no_message(service: Running) -> None:
    number = counts(4000)
    async with service.peer() as peer:
        admin = service.by("admin")
        answers = await asyncio.gather(
            *(
                peer.answer(f"tx-{i}", b"RegisterLog", f"log-{i}".encode(), proposed=admin)
                for i in range(number)
            )
        )
        listed = await peer.answer("tx-list", b"ListLogs", b"", b"5", proposed=admin)
    assert {answer.status for answer in answers} == {200}
    assert len(peer.state) == 2 * number
    assert [each["log"] for each in json.loads(listed.payload)] == [
        "log-0",
        "log-1",
        "log-10",
        "log-100",
        "log-101",
    ]


async def test_a_read_the_peer_refuses_is_not_taken_for_a_value(service: Running) -> None:
    async with service.peer() as peer:
        peer.refuses.add("tx-1")
        answer = await peer.answer("tx-1", b"GetHead", b"bal-1", proposed=service.by("client"))
        assert (answer.status, answer.message) == (500, "the contract failed: PeerRefused")
        # The stream goes on.
        answer = await peer.answer("tx-2", b"GetHead", b"bal-1", proposed=service.by("client"))
    assert json.loads(answer.message)["code"] == "unknown_log"


async def test_an_unexpected_exception_is_answered_and_nothing_of_it_is_told(
    service: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def invoke(*_: object) -> bytes:
        raise KeyError(MARK)

    monkeypatch.setattr(contract, "invoke", invoke)
    async with service.peer() as peer:
        answer = await peer.answer("tx-1", b"GetHead", MARK, proposed=service.by("client"))
    assert (answer.status, answer.message, answer.payload) == (500, "the contract failed: KeyError", b"")
    assert "tx-1 failed: KeyError" in caplog.text
    assert MARK.decode() not in caplog.text


@pytest.mark.parametrize(
    "proposed",
    [SignedProposal(proposal_bytes=b"\xff\xff"), SignedProposal(), SignedProposal(proposal_bytes=MARK)],
    ids=["garbage", "empty", "text"],
)
async def test_a_proposal_that_cannot_be_read_is_answered(
    service: Running, proposed: SignedProposal, caplog: pytest.LogCaptureFixture
) -> None:
    async with service.peer() as peer:
        answer = await peer.answer("tx-1", b"RegisterLog", b"bal-1", proposed=proposed)
    assert (answer.status, answer.payload) == (500, b"")
    assert MARK.decode() not in caplog.text + answer.message


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), "malformed"), ((b"\xff\xfe",), "unknown_function"), ((b"GetHead", b"\xff"), "malformed")],
)
async def test_arguments_of_any_kind_are_answered(
    service: Running, arguments: tuple[bytes, ...], code: str
) -> None:
    async with service.peer() as peer:
        answer = await peer.answer("tx-1", *arguments, proposed=service.by("client"))
    assert (answer.status, json.loads(answer.message)["code"]) == (400, code)


async def test_no_argument_or_value_enters_a_log(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with service.peer() as peer:
        peer.state["log/secret-4711"] = b'{"log":"secret-4711"}'
        await peer.answer("tx-1", b"RegisterLog", b"secret-4711", proposed=service.by("admin"))
        await peer.answer("tx-2", b"RegisterLog", b"secret-4712", proposed=service.by("admin"))
        await peer.answer("tx-3", MARK, proposed=service.by("client"))
    assert "a peer is connected" in caplog.text
    assert "secret" not in caplog.text.lower()


async def test_a_peer_that_leaves_takes_its_transactions_with_it(service: Running) -> None:
    before = asyncio.all_tasks()
    async with service.peer() as peer:
        peer.silent |= {f"tx-{i}" for i in range(20)}
        for i in range(20):
            peer.begin(f"tx-{i}", b"GetHead", b"bal-1", proposed=service.by("client"))
        await peer.asks(20)
    async with asyncio.timeout(30):
        while any("Conversation._call" in repr(task) for task in asyncio.all_tasks() - before):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    async with service.peer() as again:
        answer = await again.answer("tx-0", b"ListLogs", b"", b"1", proposed=service.by("client"))
    assert answer.payload == b"[]"


async def test_stopping_lets_a_transaction_end(service: Running) -> None:
    async with service.peer() as peer:
        peer.silent.add("tx-1")
        ending = asyncio.create_task(
            peer.transact("tx-1", b"GetHead", b"bal-1", proposed=service.by("client"))
        )
        await peer.asks(1)
        service.stop.set()
        await asyncio.sleep(0.05)
        asked = GetState.FromString(peer.asked[0].payload)
        peer._send(ChaincodeMessage.RESPONSE, "tx-1", b"")
        done = await ending
        await service.task
    assert asked.key == "head/bal-1"
    assert Response.FromString(done.payload).status == 400


async def test_it_says_that_it_serves(service: Running, organisation: Authority) -> None:
    assert await is_healthy(service.settings, 10.0)
    assert not await is_healthy(settings_of(organisation), 1.0)


class TestWithoutTheOrganisationsCertificate:
    """Nobody is let in who shows no certificate of the organisation's CA."""

    async def test_a_peer_of_another_organisation_is_refused(
        self, service: Running, stranger: Authority
    ) -> None:
        await refused(Peer(service.settings.address, credentials(stranger, service.organisation)))

    async def test_a_caller_without_a_certificate_is_refused(self, service: Running) -> None:
        trusts = service.organisation.tls_ca.read_bytes()
        await refused(Peer(service.settings.address, grpc.ssl_channel_credentials(trusts)))

    async def test_a_member_certificate_is_none_of_a_server(self, service: Running) -> None:
        certificate, key = service.organisation.guest("bal-1", "admin")
        trusts = service.organisation.tls_ca.read_bytes()
        shown = grpc.ssl_channel_credentials(trusts, key.read_bytes(), certificate.read_bytes())
        await refused(Peer(service.settings.address, shown))

    async def test_a_service_of_another_organisation_is_not_believed(
        self, service: Running, stranger: Authority
    ) -> None:
        await refused(Peer(service.settings.address, credentials(service.organisation, stranger)))

    async def test_plain_text_is_refused(self, service: Running) -> None:
        host, _, port = service.settings.address.partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            plain.settimeout(10)
            loop = asyncio.get_running_loop()
            said = await loop.run_in_executor(None, lambda: _said(plain))
        assert b"\x00\x00\x04" not in said[:9], "settings of HTTP/2 in plain text"


def _said(plain: socket.socket) -> bytes:
    try:
        return plain.recv(4096)
    except OSError:
        return b""


async def refused(peer: Peer) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        async with peer:
            pytest.fail("it was let in")
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
