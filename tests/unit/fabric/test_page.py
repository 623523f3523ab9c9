"""docs/fabric-client.md says what is so."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from bal import fabric
from bal.fabric import backoff

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "fabric-client.md").read_text(encoding="utf-8")
LISTED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)` \| ([\w ]+) \|", PAGE)


def test_scenarios_are_listed() -> None:
    rows = [line for line in PAGE.split("\n") if "tests/" in line and line.startswith("|")]
    assert len(LISTED) == len(rows) >= 30


@pytest.mark.parametrize(("file", "name", "where"), LISTED)
def test_each_listed_test_exists(file: str, name: str, where: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    assert name in {node.name for node in tree.body if isinstance(node, functions)}
    assert where == ("real" if "integration" in file else "in process")


def test_code_on_the_page_is_python_and_names_what_there_is() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    for code in blocks:
        compile(code, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for name in re.findall(r"\bfabric\.([A-Za-z]\w*)", PAGE):
        assert hasattr(fabric, name) or name == "py", name


def test_every_error_is_listed() -> None:
    errors = {name for name, value in vars(fabric).items() if inspect.isclass(value)}
    errors = {name for name in errors if issubclass(getattr(fabric, name), fabric.FabricError)}
    assert {name for name in errors if f"`{name}`" not in PAGE} == set()


def test_methods_that_are_named_exist() -> None:
    classes = {
        "network": fabric.Network,
        "gateway": fabric.Gateway,
        "contract": fabric.Contract,
        "checkpointer": fabric.Checkpointer,
        "transaction": fabric.Transaction,
        "proposal": fabric.Proposal,
        "submitted": fabric.SubmittedTransaction,
    }
    found = re.findall(rf"\b({'|'.join(classes)})\.(\w+)\(", PAGE)
    assert len(found) > 15
    assert [(owner, name) for owner, name in found if not hasattr(classes[owner], name)] == []


def test_numbers_are_those_of_the_code() -> None:
    deadlines = fabric.Deadlines()
    words = (
        f"evaluate {deadlines.evaluate:g} s, endorse {deadlines.endorse:g} s, submit {deadlines.submit:g} s, "
        f"commit status {deadlines.commit_status:g} s, events without any gateway {deadlines.events:g} s"
    )
    flowing = " ".join(PAGE.split())
    assert words in flowing
    rest = f"left alone for {backoff.FIRST_SECONDS:g} s, doubled up to {backoff.LONGEST_SECONDS:g} s"
    assert rest in flowing


def test_the_outcomes_are_in_the_words_of_the_page() -> None:
    table = PAGE[PAGE.index("| Error |") : PAGE.index("*Unknown* means")]
    assert set(re.findall(r"\| ([a-z ]+) \|$", table, re.MULTILINE)) == {
        each.value for each in fabric.Outcome
    }
    assert fabric.CommitError.outcome is fabric.Outcome.REFUSED
    assert fabric.CommitStatusError.outcome is fabric.Outcome.UNKNOWN


def test_nothing_else_of_bal_is_imported() -> None:
    for path in (ROOT / "bal" / "fabric").glob("*.py"):
        imported = re.findall(
            r"^\s*(?:from|import) (bal[\w.]*)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert [name for name in imported if not name.startswith("bal.fabric")] == []
