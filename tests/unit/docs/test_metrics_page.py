import re
from pathlib import Path

from bal.bootstrap.writing import open_service
from bal.config import Settings
from bal.home import Home
from bal.metrics import Metrics
from tests.unit.docs.pages import ROOT, code, page, rows

PAGE = "docs/metrics.md"


def names() -> dict[str, str]:
    """Every metric under the name Prometheus sees, with its type."""
    found = {
        each.name + ("_total" if each.type == "counter" else ""): each.type
        for each in Metrics().registry.collect()
    }
    for path in (ROOT / "bal").rglob("*.py"):
        for name in re.findall(r'\.watch\(\s*"(\w+)"', path.read_text(encoding="utf-8")):
            found[f"bal_{name}"] = "gauge"
    return found


def test_every_metric_is_listed_with_its_type() -> None:
    assert {code(cells[0]): cells[1] for cells in rows(page(PAGE))} == names()


def test_every_label_is_listed() -> None:
    metrics = Metrics()
    told = {code(cells[0]): set(re.findall(r"`([a-z]+)`", cells[2])) for cells in rows(page(PAGE))}
    for each in vars(metrics).values():
        if hasattr(each, "_labelnames"):
            name = each._name + ("_total" if each._type == "counter" else "")
            assert set(each._labelnames) <= told[name], name


def test_every_kind_of_alarm_is_listed() -> None:
    (cells,) = [cells for cells in rows(page(PAGE)) if code(cells[0]) == "bal_alarms_total"]
    raised = set()
    for path in (ROOT / "bal").rglob("*.py"):
        raised |= set(re.findall(r'alarm\(\s*"([a-z-]+)"', path.read_text(encoding="utf-8")))
    assert set(re.findall(r"`([a-z-]+)`", cells[2])) - {"kind"} == raised


async def test_a_service_shows_the_numbers_of_back_pressure(tmp_path: Path) -> None:
    async with open_service(Home(tmp_path / "home"), Settings().model_copy(update={"workers": 0})) as opened:
        text = opened.metrics.exposition().decode()
    shown = set(re.findall(r"^(bal_\w+)", text, re.MULTILINE))
    gauges = {name for name, kind in names().items() if kind == "gauge"}
    assert len(gauges) >= 4
    assert gauges <= shown
    assert 'bal_batches{state="unanchored"} 0.0' in text
    assert 'bal_batches{state="unpublished"} 0.0' in text
