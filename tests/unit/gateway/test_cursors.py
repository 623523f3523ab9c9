import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bal.core.errors import Malformed
from bal.gateway.cursors import Cursors
from tests.unit.gateway.world import World, assert_problem, bearer, readings

CURSORS = Cursors(bytes(32))
POSITION = [0, [1_767_225_600_000_000, "a" * 26, "activeEnergy", "", "0.0", "none", 1, "bal-1", 0, 4]]


@given(question=st.lists(st.text() | st.none() | st.integers()), position=st.lists(st.text() | st.integers()))
def test_a_cursor_gives_its_position_back(question: list[object], position: list[object]) -> None:
    assert CURSORS.open(question, CURSORS.make(question, position)) == position


@given(junk=st.text(max_size=1200))
def test_junk_is_no_cursor(junk: str) -> None:
    with pytest.raises(Malformed):
        CURSORS.open(["q"], junk)


def test_every_changed_character_is_found() -> None:
    cursor = CURSORS.make(["q"], POSITION)
    for place in range(len(cursor)):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        if base64.urlsafe_b64decode(changed + "===") == base64.urlsafe_b64decode(cursor + "==="):
            continue  # bits of the last character that stand for nothing
        with pytest.raises(Malformed):
            CURSORS.open(["q"], changed)


def test_another_question_or_secret_is_refused() -> None:
    cursor = CURSORS.make(["q"], POSITION)
    for cursors, question in ((CURSORS, ["r"]), (CURSORS, ["q", None]), (Cursors(b"x" * 32), ["q"])):
        with pytest.raises(Malformed):
            cursors.open(question, cursor)


async def test_a_cursor_serves_its_own_client_and_filters_only(world: World) -> None:
    await world.certify([*readings("dso-a", 3), *readings("dso-b", 3)])
    first, second = world.add_client("one", ["*"]), world.add_client("two", ["*"])
    path = "/v1/readings?source=dso-a&limit=1"
    cursor = (await world.get(path, first)).json()["next"]
    assert (await world.get(f"{path}&cursor={cursor}", first)).status_code == 200
    assert (await world.get(f"{path}0&cursor={cursor}", first)).status_code == 200
    assert_problem(await world.get(f"{path}&cursor={cursor}", second), 400, "malformed")
    for other in ("source=dso-b", "source=dso-a&history=true", "source=dso-a&from=2026-01-01"):
        assert_problem(await world.get(f"/v1/readings?{other}&cursor={cursor}", first), 400, "malformed")
    for kind in ("batches", "anchors"):
        assert_problem(await world.get(f"/v1/{kind}?cursor={cursor}", first), 400, "malformed")
    body = {"source": "dso-a", "meters": ["x"], "cursor": cursor}
    assert_problem(await world.http.post("/v1/readings/query", json=body, headers=bearer(first)), 400)
    assert_problem(await world.get(f"{path}&cursor={'A' * 1025}", first), 422)
