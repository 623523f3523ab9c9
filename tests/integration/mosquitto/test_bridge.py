"""`mosquitto/bridge.conf.example` between two real brokers: documents in, receipts and certified readings out, nothing else."""

import asyncio
from pathlib import Path

import aiomqtt

from bal.resources import resource
from bal.stack.authority import authority, issued
from bal.stack.layout import Layout
from bal.stack.mosquitto import Mosquitto
from bal.stack.process import Process
from tests.checks.processes import free_port
from tests.integration.mosquitto.conftest import Shared
from tests.patience import PATIENCE

NAME = "our-bridge"


def _bridged(shared: Shared, layout: Layout, ports: dict[str, int]) -> Process:
    """Return a broker of a BAL's own that is bridged to the shared one, the data bus."""
    broker = Mosquitto()
    broker.configure(layout, ports)
    certificate, key = issued(shared.ours.layout, NAME)
    filled = (resource("mosquitto") / "bridge.conf.example").read_text()
    for there, value in (
        ("BUS.EXAMPLE.ORG:8883", f"localhost:{shared.ours.facts['port']}"),
        ("FOLDER/bus-ca.crt", shared.ours.settings["ca"]),
        ("FOLDER/bridge.crt", str(certificate)),
        ("FOLDER/bridge.key", str(key)),
        ("NAME-OF-THIS-BRIDGE", NAME),
        ("REMOTE/TOPIC/OF/SOURCE", "bus/documents"),
        ("REMOTE/RECEIPTS/SOURCE", "bus/receipts"),
        ("REMOTE/BAL/SOURCE", "bus/bal"),
        ("SOURCE", "dso-q"),
    ):
        filled = filled.replace(there, value)
    folder = layout.path / "bridges"
    folder.mkdir()
    (folder / "bridge.conf").write_text(filled)
    configuration = layout.server("mosquitto") / "mosquitto.conf"
    configuration.write_text(f"{configuration.read_text()}\ninclude_dir {folder}\n")
    (process,) = broker.processes(layout, ports)
    return process


async def test_the_example_joins_two_brokers_and_lets_nothing_else_through(
    shared: Shared, tmp_path: Path
) -> None:
    ours = shared.ours
    with ours.folder.writing():
        ours.folder.put(
            NAME,
            f"user {NAME}\ntopic read bus/documents\ntopic write bus/receipts/#\ntopic write bus/bal/#\n",
        )
        ours.folder.tell()
    layout = Layout(tmp_path / "stack", ours.layout.cache)
    ports = {"mqtt": free_port(), "mqtt-password": free_port()}
    process = _bridged(shared, layout, ports)
    rights = layout.server("mosquitto") / "rights"
    (rights / "acl").write_text("user tester\ntopic readwrite #\n")
    with authority(layout) as ca:
        tester = ca.issue_client("tester")
    process.start()
    try:
        tls = ours.tls(None)
        tls.load_verify_locations(layout.pki / "ca.crt")
        tls.load_cert_chain(*tester)
        await _until_open(ports["mqtt"])
        async with (
            aiomqtt.Client("127.0.0.1", ports["mqtt"], tls_context=tls, timeout=PATIENCE) as near,
            ours.client("watcher") as far,
            ours.client("author") as bus,
            asyncio.timeout(PATIENCE),
        ):
            await near.subscribe("#", qos=1)
            await far.subscribe("#", qos=1)
            document = asyncio.ensure_future(anext(near.messages))
            while not document.done():  # until the bridge has connected and subscribed
                await bus.publish("bus/elsewhere", b"no business of ours", qos=1)
                await bus.publish("bus/documents", b"a document", qos=1)
                await asyncio.wait([document], timeout=0.5)
            assert (str(document.result().topic), document.result().payload) == (
                "bal/dso-q/cim",
                b"a document",
            )
            out = {
                "bal/dso-q/accepted": "bus/receipts/accepted",
                "bal/dso-q/rejected": "bus/receipts/rejected",
                "bal/dso-q/certified/point": "bus/bal/certified/point",
                "bal/dso-q/readings/point": "bus/bal/readings/point",
            }
            for topic in ("bal/dso-q/pmu/pmu-1", "bal/dso-r/accepted", "elsewhere", *out):
                await near.publish(topic, topic.encode(), qos=1)
            found: dict[str, bytes] = {}
            while len(found) < len(out):
                message = await anext(far.messages)
                assert isinstance(message.payload, bytes)
                if not str(message.topic).startswith(("bus/documents", "bus/elsewhere")):
                    found[str(message.topic)] = message.payload
            assert found == {there: here.encode() for here, there in out.items()}
    finally:
        process.stop()
        with ours.folder.writing():
            ours.folder.put(NAME, "")
            ours.folder.tell()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
