"""One running service for all tests that only need one."""

from collections.abc import Iterator

import pytest

from tests.e2e.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service with two sources that go out by MQTT too, for the reader `databus`."""
    # Deeper than a Unix socket's address can say.
    with Service(tmp_path_factory.mktemp("service") / ("deep-" * 20) / "home") as service:
        service.done(
            "sources", "add", "dso-a", "--output", "jsonl", "--output", "mqtt", "--reader", "databus"
        )
        service.done("sources", "add", "dso-b", "--output", "mqtt-flat", "--reader", "databus")
        yield service
        assert service.stop() == 0, service.log.read_text()
