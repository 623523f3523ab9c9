import re

import pytest

from tests.unit.docs.pages import ROOT, anchors, links, page, pages


@pytest.mark.parametrize("name", pages())
def test_links_lead_somewhere(name: str) -> None:
    here = ROOT / name
    broken = []
    for target in links(page(name)):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (here.parent / path).resolve() if path else here
        if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", pages())
def test_files_that_are_named_exist(name: str) -> None:
    named = re.findall(r"`((?:bal|chaincode|tests|docs|make|requirements)/[\w./-]+\.\w+)`", page(name))
    assert [path for path in named if "NNNN" not in path and not (ROOT / path).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), ["README.md"]
    while waiting:
        name = waiting.pop()
        if name in reached or not name.endswith(".md"):
            continue
        reached.add(name)
        for target in links(page(name)):
            path = target.partition("#")[0]
            there = (ROOT / name).parent / path
            if path and not target.startswith("https://"):
                waiting.append(there.resolve().relative_to(ROOT).as_posix())
    assert {name for name in pages() if not name.startswith("docs/adr/")} <= reached
