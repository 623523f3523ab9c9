import ast
import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import bal
from bal.core.errors import EXIT_NO, EXIT_UNUSABLE, BalError
from chaincode.errors import CODES
from tests.unit.docs.pages import ROOT, code, page, prose, rows, section

PAGE = "docs/errors.md"


@cache
def known() -> dict[str, type[BalError]]:
    """Every error there is, by name; all modules are loaded so that none is missed."""
    for module in pkgutil.walk_packages(bal.__path__, "bal."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[BalError]) -> Iterator[type[BalError]]:
        yield kind
        for each in kind.__subclasses__():
            yield from below(each)

    return {kind.__name__: kind for kind in below(BalError) if kind.__module__.startswith("bal.")}


def test_every_error_is_listed_with_slug_exit_code_and_status() -> None:
    told = {code(cells[1]): cells for cells in rows(section(page(PAGE), "## Problems"))}
    assert told.keys() == known().keys()
    for name, kind in known().items():
        slug, _, exit_code, status, meaning, remedy = told[name]
        assert (code(slug), exit_code, status) == (kind.slug, str(kind.exit_code), str(kind.status)), name
        assert meaning, name
        assert remedy, name


def test_no_two_errors_share_a_slug_of_their_own() -> None:
    slugs = [kind.slug for kind in known().values() if "slug" in vars(kind)]
    assert sorted(slugs) == sorted(set(slugs))


def test_exit_codes_are_those_of_the_page() -> None:
    assert f"`{EXIT_NO}` the answer is no" in prose(page(PAGE))
    assert f"`{EXIT_UNUSABLE}` wrong use" in prose(page(PAGE))


def test_every_code_of_the_contract_is_listed_in_its_own_words() -> None:
    told = {code(cells[0]): cells[1] for cells in rows(section(page(PAGE), "## Codes of the contract"))}
    assert told == CODES


def rejection_codes(path: Path) -> set[str]:
    """Return the constant codes that a file gives refusals and rejections."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Refusal", "Rejection"}:
            given = [word.value for word in node.keywords if word.arg == "code"]
            found |= {each.value for each in [*given, *node.args[3:4]] if isinstance(each, ast.Constant)}
    return {str(each) for each in found}


def test_every_code_of_a_rejection_is_listed() -> None:
    told = {code(cells[0]) for cells in rows(section(page(PAGE), "## Rejections"))}
    files = [path for room in ("normalise", "lane") for path in (ROOT / "bal" / room).glob("*.py")]
    given = set().union(*map(rejection_codes, files))
    assert {"value", "timestamp", "erased"} <= given
    # `unreadable` and `refused` are slugs of the error that ended the whole message, `invalid` is the default.
    assert told == given | {"unreadable", "refused", "invalid"}
