"""XML attacks are refused before any harm: no socket, no file, no expansion, bounded memory."""

import io
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bal.core.errors import BalError, Unreadable
from bal.core.limits import XML_DEPTH
from bal.core.message import Message
from bal.core.reading import Reading
from bal.normalise.guard import CHUNK_BYTES
from bal.normalise.outcomes import outcomes
from tests.unit.normalise.samples import (
    ENERGY,
    KEY,
    NOW,
    SOURCE,
    document,
    message,
    meter_reading,
    normalised,
    reading,
)

GOOD = document(meter_reading(reading())).decode()
OPENED: list[str] = []
WATCHED: list[bool] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if WATCHED and (event == "open" or event.startswith(("socket.", "subprocess."))):
        OPENED.append(f"{event} {arguments!r}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _nothing_is_opened() -> Iterator[None]:
    """Fail when a test opens a file or a socket from Python."""
    normalised(GOOD.encode())
    OPENED.clear()
    WATCHED.append(True)
    yield
    WATCHED.clear()
    assert OPENED == []


@pytest.fixture
def trap() -> Iterator[tuple[int, list[object]]]:
    """Listen on a port and keep who comes: libxml2 opens sockets where no audit hook sees it."""
    WATCHED.clear()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)
    visits: list[object] = []
    done = threading.Event()

    def listen() -> None:
        while not done.is_set():
            try:
                connection, address = server.accept()
            except TimeoutError:
                continue
            visits.append(address)
            connection.close()

    thread = threading.Thread(target=listen)
    thread.start()
    yield server.getsockname()[1], visits
    done.set()
    thread.join()
    server.close()


def refused(body: bytes, reason: str) -> None:
    """Refuse it held in memory and streamed in chunks of any size, always for the same reason."""
    with pytest.raises(Unreadable, match=reason) as told:
        normalised(body)
    assert "SECRET" not in str(told.value)
    for size in (1, 7, CHUNK_BYTES):
        if len(body) // size > 200_000:
            continue
        with pytest.raises(Unreadable, match=reason):
            list(outcomes(Message("dso-a", "cim", partial(Slow, body, size), b""), SOURCE, KEY, NOW))


class Slow(io.BytesIO):
    """A body that comes in small pieces."""

    def __init__(self, body: bytes, size: int) -> None:
        super().__init__(body)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._size)


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a PUBLIC "x" "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE a [<!ENTITY SECRET "x">]>',
        '<!DOCTYPE a [<!ENTITY % SECRET SYSTEM "http://127.0.0.1:9/x.dtd"> %SECRET;]>',
        "<!doctype a>",
        "<!ELEMENT a ANY>",
        "<![CDATA[x]]>",
    ],
)
@pytest.mark.parametrize(
    "before",
    [
        "",
        "\ufeff",
        '<?xml version="1.0"?>\n',
        "<!-- <a> -->",
        "<?pi <a> ?>",
        "<!--" + "x" * 300_000 + "-->",
        " " * 70_000,
    ],
)
def test_doctype_is_refused_wherever_it_hides(doctype: str, before: str) -> None:
    body = (before + doctype + GOOD).encode()
    refused(body, "DOCTYPE|well-formed" if before.startswith(" ") and "?xml" in before else "DOCTYPE")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "declaration", ["", '<?xml version="1.0" encoding="UTF-16"?>', '<?xml version="1.0" encoding="UTF-8"?>']
)
def test_doctype_in_utf_16(encoding: str, declaration: str) -> None:
    refused((declaration + '<!DOCTYPE a [<!ENTITY x "y">]>' + GOOD).encode(encoding), "DOCTYPE")


@pytest.mark.parametrize(
    "encoding",
    [
        "UTF-7",
        "UTF-32",
        "EBCDIC-CP-US",
        "cp037",
        "IBM037",
        "utf-16",
        "unknown",
        "idna",
        "rot13",
        "hex",
        "zlib",
        "punycode",
    ],
)
def test_encodings_that_could_hide_one_are_refused(encoding: str) -> None:
    refused(
        f'<?xml version="1.0" encoding="{encoding}"?>+ADwAIQ-DOCTYPE a+AD4-{GOOD}'.encode(), "encoding|begin"
    )


OTHERS = {
    name: ("<!DOCTYPE a>" + GOOD).encode(name)
    for name in ("utf-32", "utf-32-le", "utf-32-be", "cp037", "utf-7")
}


@pytest.mark.parametrize("encoding", OTHERS)
def test_bytes_of_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(Unreadable):
        normalised(OTHERS[encoding])


def test_an_external_entity_fetches_nothing(trap: tuple[int, list[object]], tmp_path: Path) -> None:
    port, visits = trap
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    for system in (f"http://127.0.0.1:{port}/x", f"ftp://127.0.0.1:{port}/x", secret.as_uri()):
        for doctype in (
            f'<!DOCTYPE a SYSTEM "{system}">',
            f'<!DOCTYPE a [<!ENTITY x SYSTEM "{system}">]>',
            f'<!DOCTYPE a [<!ENTITY % x SYSTEM "{system}"> %x;]>',
        ):
            with pytest.raises(Unreadable, match="DOCTYPE"):
                normalised((doctype + GOOD.replace("12.5", "&x;")).encode())
        located = GOOD.replace(
            "<MeterReadings ",
            f'<MeterReadings xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x {system}" ',
        )
        styled = f'<?xml-stylesheet type="text/xsl" href="{system}"?>' + located
        assert isinstance(normalised(styled.encode())[0], Reading), "a location is no order to go there"
    assert visits == []


@pytest.mark.parametrize("place", ["/root", "/value", "/header"])
def test_xinclude_is_refused(place: str) -> None:
    include = (
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    )
    body = {
        "/root": include,
        "/value": GOOD.replace("12.5", include),
        "/header": f"<Message><Header>{include}</Header>{GOOD}</Message>",
    }[place]
    refused(body.encode(), "XInclude")


@pytest.mark.parametrize("reference", ["&x;", "&nbsp;", "&#0;", "&#xD800;", "&#x110000;", "&"])
def test_undeclared_entities_and_bad_characters_are_refused(reference: str) -> None:
    refused(GOOD.replace("12.5", reference).encode(), "well-formed")
    refused(GOOD.replace(ENERGY, reference).encode(), "well-formed")


def test_predefined_entities_are_text() -> None:
    (found,) = normalised(GOOD.replace("12.5", "&#49;2.5").encode())
    assert isinstance(found, Reading)
    assert found.value == "12500"


@pytest.mark.parametrize("depth", [XML_DEPTH + 1, 100_000])
@pytest.mark.parametrize("place", ["outside", "inside"])
def test_depth_bombs(depth: int, place: str) -> None:
    bomb = "<a>" * depth + "</a>" * depth
    body = bomb if place == "outside" else GOOD.replace("12.5", "12.5" + bomb)
    with pytest.raises(Unreadable, match="nested deeper"):
        normalised(body.encode())


def test_the_limit_of_depth_is_enough_for_envelopes() -> None:
    depth = XML_DEPTH - 5
    assert isinstance(normalised(("<a>" * depth + GOOD + "</a>" * depth).encode())[0], Reading)


def test_attribute_bombs() -> None:
    many = " ".join(f'a{number}="1"' for number in range(100_000))
    with pytest.raises(Unreadable):
        normalised(GOOD.replace("<value>", f"<value {many}>").encode())
    with pytest.raises(Unreadable, match="well-formed"):
        normalised(GOOD.replace("<value>", '<value a="1" a="2">').encode())


@pytest.mark.parametrize(
    "bomb",
    [
        lambda: GOOD.replace("12.5", "9" * 12_000_000),
        lambda: GOOD.replace(ENERGY, "9" * 12_000_000),
        lambda: GOOD.replace("METER-1", "m" * 7_000_000),
        lambda: GOOD.replace("<value>", "<" + "n" * 100_000 + "/><value>"),
        lambda: "<!--" + "-" * 12_000_000,
        lambda: "".join(f"<a{number}/>" for number in range(100_000)).join(("<a>", GOOD, "</a>")),
    ],
    ids=["value", "code", "identifier", "element-name", "comment", "names"],
)
def test_size_bombs_are_refused_or_harmless(bomb: Callable[[], str]) -> None:
    try:
        told = "".join(map(repr, normalised(bomb().encode())))
    except BalError as error:
        told = str(error)
    assert len(told) < 500


def test_a_definition_bomb_is_refused() -> None:
    many = "".join(f"<ReadingType><mRID>t{number}</mRID></ReadingType>" for number in range(10_002))
    with pytest.raises(Unreadable, match="reading types"):
        normalised(document(meter_reading(reading()), many))


def test_errors_quote_nothing_of_the_document() -> None:
    for body in (
        GOOD.replace("</value>", "</SECRET>"),
        GOOD.replace("<value>", "<SECRET:value>"),
        GOOD.replace("12.5", "&SECRET;"),
        GOOD + "SECRET",
        GOOD.replace("<value>", "<value SECRET>"),
    ):
        with pytest.raises(Unreadable) as told:
            normalised(body.encode())
        error: BaseException | None = told.value
        while error is not None:
            assert "SECRET" not in repr(error) + str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_identifiers_stay_out_of_outcomes() -> None:
    body = document(meter_reading(reading("x"), reading("1", "?"), reading("2"), meter="SECRET-4711"))
    for outcome in outcomes(message(body), SOURCE, KEY, NOW):
        assert "SECRET-4711" not in repr(outcome)
