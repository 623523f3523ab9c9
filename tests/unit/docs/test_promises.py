"""Each promise and each attack names the tests that hold it, and those exist and have tests in them."""

import re

from tests.unit.docs.pages import ROOT, page, rows, section


def named(text: str) -> list[str]:
    return re.findall(r"`(tests/[\w/.-]+\.py)`", text)


def has_tests(name: str) -> bool:
    path = ROOT / name
    return path.exists() and "def test_" in path.read_text(encoding="utf-8")


def test_every_promise_is_held_by_tests() -> None:
    text = page("docs/promises.md")
    headings = re.findall(r"^## \d\. .+$", text, re.MULTILINE)
    assert [heading[3] for heading in headings] == list("12345678")
    for heading in headings:
        (held,) = re.findall(r"^Held by: (.+?)(?:\n\n|\Z)", section(text, heading), re.MULTILINE | re.DOTALL)
        assert named(held) != [], heading
        assert [name for name in named(held) if not has_tests(name)] == [], heading


def test_every_attack_has_a_defence_and_a_test() -> None:
    attacks = rows(section(page("docs/threat-model.md"), "## Attacks and defences"))
    assert len(attacks) > 25
    for attack, defence, tests in attacks:
        assert defence, attack
        assert named(tests) != [], attack
        assert re.sub(r"`[^`]*`|[, ]", "", tests) == "", attack
        assert [name for name in named(tests) if not has_tests(name)] == [], attack


def test_every_file_of_attacks_is_in_the_threat_model() -> None:
    told = named(page("docs/threat-model.md"))
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "attacks").rglob("test_*.py")]
    assert sorted(set(files) - set(told)) == []
