"""The order of the tests on whole stacks."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests with a stack of their own run first: it is down again when the session's is started, both take 6 GB."""
    items.sort(key=lambda item: item.path.name != "test_stack_whole.py")
