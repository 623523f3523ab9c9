import re

from tests.unit.docs.pages import ROOT, page

RECORDS = sorted((ROOT / "docs" / "adr").glob("*.md"))


def test_records_are_numbered_on_without_gap() -> None:
    assert [path.name[:4] for path in RECORDS] == [f"{number:04d}" for number in range(1, len(RECORDS) + 1)]


def test_every_record_has_its_number_and_three_parts() -> None:
    for path in RECORDS:
        text = page(path.relative_to(ROOT).as_posix())
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences"], path.name


def test_every_library_of_the_core_has_a_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=\[]", each)[0] for each in project["dependencies"]}
    text = "\n".join(path.read_text(encoding="utf-8") for path in RECORDS).lower()
    without = {name for name in names if name not in text}
    # Parts that come with another: aiomqtt's paho, FastAPI's forms.
    assert without <= {"paho-mqtt", "python-multipart", "pydantic"}
