"""A standard MQTT client at a running service: what it may send is certified, all else arrives nowhere."""

import hashlib
import json
import ssl
from pathlib import Path

import pytest

from tests.e2e import documents
from tests.e2e.command import Shell
from tests.e2e.service import Field, Service

Pair = tuple[str, str]


def issue(service: Service, name: str) -> Pair:
    made = service.done("pki", "issue", name, "--json").value()
    return made["certificate"], made["key"]


@pytest.fixture(scope="module")
def dso_a(service: Service) -> Pair:
    return issue(service, "dso-a")


@pytest.fixture(scope="module")
def dso_b(service: Service) -> Pair:
    return issue(service, "dso-b")


@pytest.fixture(scope="module")
def databus(service: Service) -> Pair:
    return issue(service, "databus")


def test_a_document_gets_a_receipt_and_comes_out_certified(
    service: Service, dso_a: Pair, databus: Pair, tmp_path: Path
) -> None:
    body = documents.one("31415", "DE-MQTT-1")
    with Field(service, certificate=dso_a) as field, Field(service, certificate=databus) as bus:
        assert field.connect()
        for topic in ("accepted", "rejected"):
            assert field.subscribe(f"bal/dso-a/{topic}")
        assert bus.connect()
        assert bus.subscribe("bal/dso-a/certified/+")
        assert field.publish("bal/dso-a/cim", body)
        topic, receipt = field.next()
        assert topic == "bal/dso-a/accepted"
        assert receipt["digest"] == hashlib.sha256(body).hexdigest()
        assert (receipt["accepted"], receipt["rejected"], receipt["duplicates"]) == (1, 0, 0)
        topic, certificates = bus.next()
        (row,) = service.readings("--meter", "DE-MQTT-1")
        assert topic == f"bal/dso-a/certified/{row['point']}"
        (certificate,) = certificates
        assert (certificate["entry"]["value"], certificate["address"]) == ("31415", row["address"])
        path = tmp_path / "certificate.json"
        path.write_text(json.dumps(certificate))
        service.done("verify", path)
        # Sent again: answered from the receipt, certified once.
        assert field.publish("bal/dso-a/cim", body)
        topic, receipt = field.next()
        assert (topic, receipt["accepted"], receipt["duplicates"]) == ("bal/dso-a/accepted", 0, 1)
        # PMU messages, partly bad documents and nonsense.
        assert field.publish("bal/dso-a/pmu/pmu-9", documents.frame("pmu-9"))
        assert field.next()[1]["accepted"] == 1
        assert bus.next()[1][0]["entry"]["quantity"] == "voltageMagnitude"
        assert field.publish("bal/dso-a/cim", b"nonsense")
        topic, refusal = field.next()
        assert (topic, refusal["digest"]) == ("bal/dso-a/rejected", hashlib.sha256(b"nonsense").hexdigest())
        assert refusal["rejections"][0]["reason"]
        assert bus.messages.empty()
    assert len(service.readings("--history", "--meter", "DE-MQTT-1")) == 1


def test_flat_readings_for_a_databus(service: Service, dso_b: Pair, databus: Pair) -> None:
    with Field(service, certificate=dso_b) as field, Field(service, certificate=databus) as bus:
        assert bus.connect()
        assert bus.subscribe("bal/dso-b/readings/+")
        assert field.connect()
        assert field.publish("bal/dso-b/cim", documents.one("2.50", "DE-FLAT"))
        topic, flat = bus.next()
        (row,) = service.readings("--meter", "DE-FLAT", source="dso-b")
        assert topic == f"bal/dso-b/readings/{row['point']}"
        assert (flat["value"], flat["address"]) == (2.5, row["address"])


def test_what_a_source_may_not_do_arrives_nowhere(
    service: Service, dso_a: Pair, dso_b: Pair, databus: Pair
) -> None:
    forged = documents.one("666", "DE-FORGED")
    before = len(service.readings("--history"))
    with (
        Field(service, certificate=dso_a) as victim,
        Field(service, certificate=databus) as bus,
        Field(service, certificate=dso_b) as field,
    ):
        assert victim.connect()
        assert all(victim.subscribe(f"bal/dso-a/{topic}") for topic in ("accepted", "rejected"))
        assert bus.connect()
        assert all(bus.subscribe(f"bal/{topic}/+") for topic in ("dso-a/certified", "dso-b/readings"))
        assert field.connect()
        for topic in ("bal/dso-a/accepted", "bal/dso-a/certified/+", "bal/dso-a/cim", "bal/+/accepted", "#"):
            assert not field.subscribe(topic)
        assert field.subscribe("bal/dso-b/accepted")
        for topic in (
            "bal/dso-a/cim",
            "bal/dso-a/pmu/pmu-1",
            "bal/dso-a/accepted",
            "bal/dso-a/certified/aaaa",
            "bal/dso-b/accepted",
            "bal/dso-b/certified/aaaa",
            "bal/dso-b/rejected",
            "bal/dso-b/readings/aaaa",
            "bal/rejected",
            "elsewhere",
        ):
            field.publish(topic, forged)
        with Field(service, certificate=dso_b) as fresh:
            assert fresh.connect()
            assert fresh.subscribe("bal/dso-b/rejected")
            fresh.publish("bal/dso-b/cim", forged, retain=True)
            topic, refusal = fresh.next()
            assert topic == "bal/dso-b/rejected"
            assert "retain" in refusal["rejections"][0]["reason"]
        # What comes after it arrives: and is the first thing anybody sees.
        with Field(service, certificate=dso_a) as honest:
            assert honest.connect()
            assert honest.publish("bal/dso-a/cim", documents.one("1", "DE-HONEST"))
        topic, receipt = victim.next()
        assert (topic, receipt["accepted"]) == ("bal/dso-a/accepted", 1)
        topic, certificates = bus.next()
        assert topic.startswith("bal/dso-a/certified/")
        assert certificates[0]["entry"]["value"] == "1"
        assert all(client.messages.empty() for client in (victim, bus, field))
    assert len(service.readings("--history")) == before + 1
    for source in ("dso-a", "dso-b"):
        assert service.readings("--history", "--meter", "DE-FORGED", source=source) == []
    with Field(service, certificate=databus) as late:
        assert late.connect()
        assert late.subscribe("bal/dso-b/readings/+")
        service.ingest(documents.one("9", "DE-LATE"), "dso-b")
        assert late.next()[1]["value"] == 9  # the first it gets: nothing was retained


def test_without_a_certificate_nobody_comes_in(service: Service, tmp_path: Path) -> None:
    with Field(service) as nobody:
        assert not nobody.connect()
    with Field(service, user=("dso-a", "guessed")) as guesser:
        assert not guesser.connect()
    other = Shell(tmp_path / "other")
    made = other.done("pki", "issue", "dso-a", "--json").value()
    with (
        Field(service, certificate=(made["certificate"], made["key"])) as stranger,
        pytest.raises((ssl.SSLError, ConnectionError, AssertionError)),
    ):
        assert stranger.connect()


def test_a_password_will_do_and_who_is_revoked_is_out(service: Service) -> None:
    service.done("users", "add", "dso-a", "--password-file", "-", stdin=b"a long password\n")
    with Field(service, user=("dso-a", "a long password")) as field:
        assert field.connect()
        assert field.subscribe("bal/dso-a/accepted")
        assert field.publish("bal/dso-a/cim", documents.one("2", "DE-PASSWORD"))
        assert field.next()[1]["accepted"] == 1
    service.done("users", "remove", "dso-a")
    with Field(service, user=("dso-a", "a long password")) as gone:
        assert not gone.connect()
    service.done("sources", "add", "dso-c")
    pair = issue(service, "dso-c")
    with Field(service, certificate=pair) as field:
        assert field.connect()
    service.done("pki", "revoke", "dso-c")
    with Field(service, certificate=pair) as revoked:
        assert not revoked.connect()
