"""The demonstration: field, service, checker, auditor and a tamperer, one after the other in one process."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bal.bootstrap.doors import Running, running
from bal.bootstrap.identities import authority
from bal.bootstrap.reading import audit_home, open_reader
from bal.cli.demonstration.view import View
from bal.cli.demonstration.world import Failed, World
from bal.config import LogSettings
from bal.core.address import Address
from bal.core.entry import to_json
from bal.core.errors import EXIT_NO
from bal.keys import Keys
from bal.log import configure
from bal.ports import ReadingQuery
from bal.simulate.checker import Sent, compare
from bal.simulate.dispatch import Simulation, run
from bal.simulate.mqtt import Credentials, MqttDoor
from bal.simulate.plan import DsoPlan, Plan, PmuPlan
from bal.simulate.profile import QUARTER_HOUR
from bal.simulate.sender import Progress, SenderSettings

CERTIFICATE, ANCHORS = "certificate.json", "anchors.jsonl"
PMU_RATE = 10
ROUNDS_PER_SECOND = 2
"""Quarter hours the data server sends in a second: 1,800 times as fast as in the field."""


class Demonstration:
    """Runs in the home of a world, which must hold nothing yet; leaves a certificate and the anchors in `folder`."""

    def __init__(
        self, world: World, folder: Path, *, seconds: float, meters: int, pmus: int, quiet: bool
    ) -> None:
        self._world = world
        self._home = world.home
        self._folder = folder
        self._seconds = seconds
        self._meters = meters
        self._pmus = pmus
        self._console = Console(stderr=quiet, highlight=False)
        self._quiet = quiet
        self._progress: dict[str, Progress] = {}

    async def run(self, *, clean: bool) -> dict[str, Any]:
        """Return what happened; `clean` takes away what was made outside of the home. `Failed` names what did not happen."""
        try:
            return await self._run()
        finally:
            if clean:
                await self._world.clean(self._say)

    async def _run(self) -> dict[str, Any]:
        configure(LogSettings(level="error", form="auto"))
        report = await self._certify()
        report |= await self._check()
        report["address"] = await self._take_out()
        report["certificate"] = await self._verify()
        report["tampered"] = await self._tamper()
        if not self._quiet:
            self._summary(report)
        return report

    # --- field and service
    async def _certify(self) -> dict[str, Any]:
        settings = await self._world.prepare(self._say)
        begun = time.monotonic()
        async with running(self._home, settings) as service:
            lane = settings.lanes[0]
            for name in (self._world.dso, self._world.pmu):
                await service.opened.service.register_source(self._world.source(name, lane))
            self._say(
                f"service is ready: MQTT over TLS at {service.facts['mqtt']}, REST at {service.facts['gateway']}"
            )
            await self._send(service)
            await service.opened.service.pipeline.lanes[lane].stop()
        return {"seconds": round(time.monotonic() - begun, 1)}

    async def _send(self, service: Running) -> None:
        self._plans = self._make_plans()
        for plan, _, _ in self._plans:
            self._progress[plan.source] = Progress()
        with self._live(service) as refresh:
            async with asyncio.TaskGroup() as group:
                watcher = asyncio.create_task(self._watch(refresh))
                senders = [
                    group.create_task(
                        run(
                            Simulation(plan, count, interval, settings=SenderSettings(window=64)),
                            self._door(service, plan.source),
                            self._progress_of(plan.source),
                        )
                    )
                    for plan, count, interval in self._plans
                ]
                results = await asyncio.gather(*senders)
                watcher.cancel()
        for (plan, count, _), progress in zip(self._plans, results, strict=True):
            if progress.accepted != count:
                message = f"{plan.source}: {count} messages sent, {progress.accepted} accepted"
                raise Failed(message)

    def _make_plans(self) -> list[tuple[Plan, int, float]]:
        now = time.time()
        rounds = max(1, round(self._seconds * ROUNDS_PER_SECOND))
        begin = int(now - rounds * QUARTER_HOUR) // QUARTER_HOUR * QUARTER_HOUR
        dso = DsoPlan(self._world.dso, 1, self._meters, begin)
        plans: list[tuple[Plan, int, float]] = [(dso, rounds * dso.per_round, 1 / ROUNDS_PER_SECOND)]
        if self._pmus:
            frames = max(1, round(self._seconds * PMU_RATE))
            pmu = PmuPlan(self._world.pmu, 2, self._pmus, int((now - self._seconds) * 1_000_000), PMU_RATE)
            plans.append((pmu, frames * self._pmus, 1 / PMU_RATE))
        return plans

    def _door(self, service: Running, source: str) -> MqttDoor:
        ca = authority(self._home)
        certificate, key = ca.issue_client(source)
        host, _, port = service.facts["mqtt"].rpartition(":")
        credentials = Credentials(ca.certificate_path, certificate, key)
        return MqttDoor(source, host, int(port), credentials, identifier=f"{source}-server")

    def _progress_of(self, source: str) -> Callable[[Progress], None]:
        def note(progress: Progress) -> None:
            self._progress[source] = progress

        return note

    # --- the view
    def _live(self, service: Running) -> View:
        return View(
            self._console, lambda: self._table(service), live=self._console.is_terminal and not self._quiet
        )

    async def _watch(self, refresh: Callable[[], None]) -> None:
        while True:
            refresh()
            await asyncio.sleep(1)

    def _table(self, service: Running) -> Table:
        table = Table(title="what happens", title_justify="left")
        for heading in ("source", "messages sent", "with receipt"):
            table.add_column(heading, justify="left" if heading == "source" else "right")
        for source, progress in self._progress.items():
            table.add_row(source, str(progress.made), str(progress.accepted))
        for name, state in service.opened.service.state().items():
            table.caption = (
                f"log {name}: {state['anchored'] + 1} batches anchored, {state['published'] + 1} published"
            )
        return table

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text, soft_wrap=True)

    # --- checker and auditor
    async def _check(self) -> dict[str, Any]:
        """Recompute every value that was sent and hold it against what the home shows; audit."""
        entries, counts = [], Counter[str]()
        async with open_reader(self._home) as reader:
            for plan, _, _ in self._plans:
                async for found in reader.store.readings(ReadingQuery(plan.source, anchored_only=True)):
                    entries.append(to_json(found.reading))
                    counts[plan.source] += 1
        sent = [Sent(plan, range(count), ()) for plan, count, _ in self._plans]
        outcome = compare(sent, entries, Keys.open(self._home.keys).pseudonyms[0])
        if not outcome.ok:
            message = f"{outcome.missing.total()} readings are missing, {outcome.unexpected.total()} were never sent"
            raise Failed(message)
        self._published = await self._world.published(counts)
        published = len(self._published)
        if published != counts.total():
            message = f"{counts.total()} readings certified, {published} published"
            raise Failed(message)
        audit = await audit_home(self._home, None)
        if not audit.ok or audit.pending:
            message = f"the audit of an honest home found {audit.findings[:3]}"
            raise Failed(message)
        return {
            "readings": dict(counts),
            "published": published,
            "batches": audit.batches,
            "audit": "clean",
        }

    async def _take_out(self) -> str:
        """Write one certificate and the anchors to files, as a third party would be given them; return its address."""
        self._folder.mkdir(parents=True, exist_ok=True)
        address = self._published[0]["address"]
        async with open_reader(self._home) as reader:
            text = await reader.certificate(Address.parse(address))
            with (self._folder / ANCHORS).open("w", encoding="utf-8") as file:
                for log in sorted({each["address"].split(":")[0] for each in self._published}):
                    async for commitment in reader.ledger.anchors(log):
                        file.write(json.dumps(commitment.to_json()) + "\n")
        (self._folder / CERTIFICATE).write_text(text + "\n", encoding="utf-8")
        return str(address)

    async def _verify(self) -> str:
        """Verify the certificate by the command a third party would use."""
        certificate, anchors = self._folder / CERTIFICATE, self._folder / ANCHORS
        code, output = await self._bal("verify", str(certificate), *self._world.trusted(anchors))
        if code != 0:
            message = f"the certificate does not verify: {output}"
            raise Failed(message)
        return str(certificate)

    async def _tamper(self) -> str:
        """Have one stored value changed; the audit must name that row. The change is undone."""
        async with self._world.tampering() as (address, before, after, finding):
            self._say(
                f"\nSomebody with access to the database changes the value of {address} from {before} to {after}."
            )
            code, output = await self._bal("audit", "--home", str(self._world.auditor))
        if code != EXIT_NO or f"{finding}: {address}" not in output.splitlines():
            message = f"the audit did not name {address}: {output}"
            raise Failed(message)
        self._say("Found. The value is put back as it was.")
        return address

    async def _bal(self, *arguments: str) -> tuple[int, str]:
        """Run a command as its user would; return exit code and output."""
        self._say(f"\n$ bal {' '.join(arguments)}")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bal",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode().strip()
        self._say(output)
        return process.returncode or 0, output

    def _summary(self, report: dict[str, Any]) -> None:
        table = Table(title="\nsummary", title_justify="left", show_header=False)
        for name in ("readings", "batches", "published", "audit", "certificate", "tampered", "seconds"):
            table.add_row(name, str(report[name]))
        self._console.print(table)
