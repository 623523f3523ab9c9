import pytest

from bal.core.errors import Malformed, Refused
from bal.simulate.loopback import broker_address, service_url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.8.7"])
def test_this_machine_is_allowed(host: str) -> None:
    assert broker_address(f"{host}:8883") == (host.strip("[]"), 8883)
    assert service_url(f"https://{host}:8443/") == f"https://{host}:8443"


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "192.168.1.2", "0.0.0.0", "example.org", "localhost.example.org", "[::]", "[fe80::1]"],
)
def test_other_machines_are_refused(host: str) -> None:
    with pytest.raises(Refused):
        broker_address(f"{host}:8883")
    with pytest.raises(Refused):
        service_url(f"https://{host}:8443")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:",
        ":8883",
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "u@127.0.0.1:1",
        "127.0.0.1:1/x",
    ],
)
def test_other_texts_are_no_broker(text: str) -> None:
    with pytest.raises(Malformed):
        broker_address(text)


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1:8443", "ftp://127.0.0.1", "https://", "https://u:p@127.0.0.1", "https://["]
)
def test_other_texts_are_no_service(text: str) -> None:
    with pytest.raises(Malformed):
        service_url(text)
