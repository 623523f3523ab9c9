"""What the bench sends, counts and shows; it measures nothing here."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bal.cli.benchmark.documents import document, moment
from bal.cli.benchmark.operator import Operator
from bal.cli.benchmark.receiving import Receiving
from bal.cli.benchmark.round import Load, Round, quantile
from bal.cli.benchmark.rounds import Rounds
from bal.cli.benchmark.stack import BenchStack
from bal.cli.benchmark.table import rows
from bal.cli.benchmark.usage import bytes_in, cpu_seconds, machine_busy
from bal.home import Home

_BURN = "sum(range(20_000_000))"


def test_no_two_documents_are_alike_and_each_has_a_time_of_its_own() -> None:
    numbers = range(200)
    assert len({document(number, 3) for number in numbers}) == 200
    assert len({moment(number) for number in numbers}) == 200
    text = document(7, 3).decode()
    assert text.count(f"<m:timeStamp>{moment(7)}Z</m:timeStamp>") == 3
    assert text.count("<m:UsagePoint>") == 3


def test_cpu_time_is_that_of_a_process_and_of_what_it_started() -> None:
    begin = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{_BURN}; print(0, flush=True); input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", f"{begin}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        busy, mine = machine_busy(), cpu_seconds(running.pid)
        own = sum(map(int, Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        assert mine > own / os.sysconf("SC_CLK_TCK")
        assert busy > mine
        running.communicate(b"\n\n")
    assert cpu_seconds(running.pid) == 0.0


def test_bytes_are_those_of_all_files_of_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 10)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 5)
    assert bytes_in([tmp_path / "a", tmp_path / "missing"]) == 15
    assert bytes_in([tmp_path / "a" / "b"]) == 5


def test_delays_count_as_often_as_readings_came_with_them() -> None:
    arrivals = [(0.4, 0.0, 1), (0.1, 0.0, 98), (0.2, 0.0, 1)]
    assert [quantile(arrivals, part) for part in (0.5, 0.98, 0.99, 1.0)] == [0.1, 0.1, 0.2, 0.4]


class Message:
    """A record as confluent_kafka gives it."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def value(self) -> bytes:
        return self._value

    def error(self) -> None:
        return None


class Kafka:
    """A topic of two partitions with three records, in the stead of confluent_kafka."""

    def __init__(self) -> None:
        self.assigned: list[Any] = []
        moments = (moment(0), moment(1), moment(0))
        self._records = [Message(f'{{"a":"b","timestamp":"{each}.000000Z"}}'.encode()) for each in moments]
        self.topics = {"t": self}
        self.error, self.partitions = None, {0: None, 1: None}

    def Consumer(self, settings: dict[str, Any]) -> "Kafka":
        assert settings["enable.auto.commit"] is False
        return self

    def TopicPartition(self, *place: Any) -> Any:
        return place

    def list_topics(self, topic: str, timeout: float) -> "Kafka":
        assert (topic, timeout > 0) == ("t", True)
        return self

    def assign(self, places: list[Any]) -> None:
        self.assigned = places

    def consume(self, count: int, timeout: float) -> list[Message]:
        assert (count > 0, timeout > 0) == (True, True)
        found, self._records = self._records, []
        return found

    def close(self) -> None:
        self.assigned = []


def test_readings_are_known_by_the_time_of_their_document() -> None:
    kafka = Kafka()
    receiving = Receiving(kafka, {}, "t")
    receiving.start()
    assert kafka.assigned == [("t", 0, 0), ("t", 1, 0)]
    while receiving.count(moment(1).encode()) < 1:
        pass
    receiving.close()
    assert [receiving.count(moment(number).encode()) for number in (0, 1, 2)] == [2, 1, 0]


def test_the_table_has_a_column_a_round_and_the_cpu_of_each_part() -> None:
    figures: dict[str, Any] = {
        "load": "batches of 200",
        "readings": 1000,
        "cpu_seconds_per_1000_readings": {"service": 0.1, "cassandra": 0.2},
        "cpu_of_others_seconds": 1.5,
    }
    headings, found = rows([figures, {**figures, "load": "batches of 4096", "readings": 2000}])
    assert headings == ["", "batches of 200", "batches of 4096"]
    assert all(len(row) == 3 for row in found)
    assert ["readings", "1,000", "2,000"] in found
    assert ["    cassandra", "0.2", "0.2"] in found


def test_a_load_counts_its_readings() -> None:
    assert Load("x", 4096, 20, 1000).readings == 20_000


class Stage(BenchStack):
    """In the stead of a stack and of measuring on it: writes down what is asked, stores ten bytes a reading."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._sync = "batch"
        self.told: list[Any] = []
        self.stored: dict[str, int] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        self.told.append("up")
        yield
        self.told.append("down")

    def operator(self, name: str) -> Operator:
        return Operator(name, Home(self._home))

    def restart_cassandra(self, sync: str) -> None:
        self._sync = sync
        self.told.append(sync)

    @property
    def sync(self) -> str:
        return self._sync

    def database_bytes(self, operator: Operator) -> int:
        assert self.sync == "group", "tables are whole once Cassandra was stopped"
        return self.stored[operator.name]


class Measured(Round):
    """Each load takes a tenth of a millisecond a reading, and what CPU time it is told."""

    def __init__(self, stage: Stage, *cpu: float) -> None:
        self._stage = stage
        self._cpu = list(cpu)
        self.loads: list[Load] = []

    async def measure(self, operator: Operator, load_: Load, profile: Path | None = None) -> dict[str, Any]:
        self.loads.append(load_)
        self._stage.told.append((operator.name.removeprefix("bench-"), load_.name, profile is not None))
        self._stage.stored[operator.name] = self._stage.stored.get(operator.name, 0) + 10 * load_.readings
        return {
            "load": load_.name,
            "readings": load_.readings,
            "certified_readings_per_second": 10_000,
            "cassandra_sync": self._stage.sync,
            "cpu_seconds_per_1000_readings": {},
            "cpu_seconds_per_1000_readings_all": self._cpu.pop(0) if self._cpu else 0.5,
            "cpu_of_others_seconds": 0.0,
        }


async def test_the_rounds_follow_each_other_and_each_has_tables_of_its_own(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    measured = Measured(stage, 0.9, 0.95, 0.88)
    rounds = Rounds(
        stage,
        measured,
        readings=20_000,
        single=6,
        leaves=4096,
        profile=tmp_path / "profile",
        tell=lambda _line: None,
    )
    found = await rounds.run()
    assert stage.told == [
        "up",
        *[("warm", "warming up", False)] * 3,
        ("single", "a transaction a reading", False),
        ("small", "batches of 200", False),
        ("default", "batches of 4096", True),
        ("half", "half that load", False),
        "group",
        *[("warm", "warming up", False)] * 3,
        ("default", "batches of 4096", False),
        "down",
    ]
    assert found["warm_ups"] == [
        {"readings": 30_000, "cpu_seconds_per_1000_readings": [0.9, 0.95, 0.88]},
        {"readings": 30_000, "cpu_seconds_per_1000_readings": [0.5, 0.5, 0.5]},
    ]
    by_name = {load.name: load for load in measured.loads}
    assert (by_name["a transaction a reading"].leaves, by_name["a transaction a reading"].anchors) == (1, 1)
    assert by_name["batches of 200"].leaves == 200
    assert by_name["half that load"].rate == 5_000
    assert by_name["half that load"].readings <= 15 * 5_000
    numbers = [number for load in measured.loads for number in range(load.first, load.first + load.documents)]
    assert len(numbers) == len(set(numbers)), "no document is sent twice"
    assert [each["cassandra_sync"] for each in found["rounds"]] == ["batch"] * 4 + ["group"]
    bytes_told = [each.get("database_bytes_per_1000_readings") for each in found["rounds"]]
    assert bytes_told == [10_000] * 4 + [None]
    headings, table = rows(found["rounds"])
    assert len(headings) == 6
    assert ["  bytes of tables of the SCD (not with group)", *["10,000"] * 4, "-"] in table


async def test_warming_up_ends_though_each_round_takes_less_than_the_one_before(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    measured = Measured(stage, *(1 / 2**turn for turn in range(30)))
    rounds = Rounds(
        stage, measured, readings=2_000, single=1, leaves=4096, profile=None, tell=lambda _line: None
    )
    (first, second) = (await rounds.run())["warm_ups"]
    assert len(first["cpu_seconds_per_1000_readings"]) == len(second["cpu_seconds_per_1000_readings"]) == 10


async def test_one_round_that_takes_more_by_chance_does_not_end_warming_up(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    measured = Measured(stage, 0.8, 0.9, 0.5, 0.6, 0.5, *[1.0] * 20)
    rounds = Rounds(
        stage, measured, readings=2_000, single=1, leaves=4096, profile=None, tell=lambda _line: None
    )
    first, _ = (await rounds.run())["warm_ups"]
    assert first["cpu_seconds_per_1000_readings"] == [0.8, 0.9, 0.5, 0.6, 0.5]
