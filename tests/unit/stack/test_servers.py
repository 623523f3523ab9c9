"""The servers a stack has."""

import sys

import pytest

from bal.core.errors import Misconfigured, NotFound
from bal.stack import servers
from bal.stack.layout import Layout
from bal.stack.server import Server
from tests.unit.docs.pages import page


@pytest.mark.parametrize("name", servers.SERVERS)
def test_each_names_itself_its_ports_and_what_it_gets(name: str) -> None:
    server: Server = servers.server(name)
    assert server.name == name
    assert server.downloads
    assert len(set(server.port_names())) == len(server.port_names()) > 0


def test_ports_and_processes_have_names_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    everything = servers.servers()
    ports = [port for server in everything for port in server.port_names()]
    assert len(set(ports)) == len(ports)
    layout = Layout(tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("cache"))
    names = [
        process.name
        for server in everything
        if not server.missing()
        for process in server.processes(layout, dict.fromkeys(server.port_names(), 1))
    ]
    assert len(set(names)) == len(names)


def test_the_page_shows_a_port_there_is() -> None:
    assert "--port kafka=9093" in page("docs/stack.md")
    assert "kafka" in servers.server("kafka").port_names()


def test_they_come_in_one_order_and_unknown_ones_are_refused() -> None:
    assert [server.name for server in servers.servers()] == list(servers.SERVERS)
    assert [server.name for server in servers.servers(["kafka", "mosquitto"])] == ["mosquitto", "kafka"]
    with pytest.raises(NotFound, match="choose among mosquitto"):
        servers.servers(["kafka", "redis"])


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(servers.SERVERS, "other", ("bal_no_such_driver", "Other"))
    with pytest.raises(Misconfigured, match=r"bal_no_such_driver is not installed .*bal\[stack\]"):
        servers.server("other")
    assert "bal_no_such_driver" not in sys.modules
