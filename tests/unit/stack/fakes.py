"""Servers that are small real processes: they listen, answer, keep a number on disk."""

import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bal.core.errors import Unavailable
from bal.stack.download import whole
from bal.stack.layout import Layout
from bal.stack.process import Process
from bal.stack.server import Guest, Missing, Tell

PROGRAM = """
import os, socket, subprocess, sys
print("listening on", sys.argv[1], flush=True)
if sys.argv[2] == "dies":
    sys.exit("out of luck")
if sys.argv[2] == "forks":
    subprocess.Popen(["sleep", "600"])
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        peer, _ = server.accept()
        with peer:
            peer.sendall(open(sys.argv[3]).read().encode())
"""


class Fake:
    """A server of as many processes as it has ports."""

    def __init__(
        self, name: str, ports: Sequence[str] = ("main",), *, manner: str = "", lacks: Sequence[Missing] = ()
    ) -> None:
        self.name = name
        self.guests: set[str] = set()
        self.downloads = f"{name} 1.0, 1 MB"
        self.disk, self.memory = 1, 1
        self.manner = manner
        self.lacks = lacks
        self.installs = 0
        self._ports = ports

    def missing(self) -> Sequence[Missing]:
        return self.lacks

    def is_installed(self, layout: Layout) -> bool:
        return (layout.cache / self.name).is_dir()

    def install(self, layout: Layout, tell: Tell) -> None:
        self.installs += 1
        with whole(layout.cache / self.name) as folder:
            (folder / "program.py").write_text(PROGRAM)
            tell("built")
            if self.manner == "no network":
                raise Unavailable("the network is down", subject=self.name)

    def port_names(self) -> Sequence[str]:
        return self._ports

    def processes(self, layout: Layout, ports: Mapping[str, int]) -> Sequence[Process]:
        program = str(layout.cache / self.name / "program.py")
        return [
            Process(
                f"{self.name}-{port}",
                [sys.executable, "-I", "-S", program, str(ports[port]), self.manner, str(self.data(layout))],
                layout,
            )
            for port in self._ports
        ]

    def data(self, layout: Layout) -> Path:
        return layout.server(self.name) / "data"

    def start(self, layout: Layout, ports: Mapping[str, int], tell: Tell) -> None:
        layout.server(self.name).mkdir(parents=True, exist_ok=True)
        if not self.data(layout).exists():
            self.data(layout).write_text("answer")
        for process in self.processes(layout, ports):
            process.start()
        for process in self.processes(layout, ports):
            while True:
                try:
                    self.check(layout, ports)
                    break
                except Unavailable:
                    if process.pid is None:
                        raise Unavailable(f"it ended: {process.tail()}", subject=process.name) from None
                    time.sleep(0.02)
        tell("ready")

    def check(self, layout: Layout, ports: Mapping[str, int]) -> str:
        for port in self._ports:
            try:
                with socket.create_connection(("127.0.0.1", ports[port]), timeout=1) as peer:
                    answer = peer.recv(100).decode()
            except OSError as error:
                raise Unavailable("no answer", subject=f"{self.name}-{port}") from error
            if answer != self.data(layout).read_text():
                raise Unavailable(f"it answers {answer}", subject=f"{self.name}-{port}")
        return "it answered"

    def facts(self, layout: Layout, ports: Mapping[str, int]) -> dict[str, object]:
        return {"address": f"127.0.0.1:{ports[self._ports[0]]}"}

    def admit(self, layout: Layout, ports: Mapping[str, int], guest: Guest) -> dict[str, object]:
        self.guests.add(guest.name)
        return {self.name: {"port": ports[self._ports[0]], "role": guest.name}, "shared": {self.name: 1}}

    def dismiss(self, layout: Layout, ports: Mapping[str, int], name: str) -> bool:
        if self.manner == "keeps":
            raise Unavailable("it does not let go", subject=self.name)
        found = name in self.guests
        self.guests.discard(name)
        return found

    def stop(self, layout: Layout, ports: Mapping[str, int]) -> None:
        for process in reversed(self.processes(layout, ports)):
            process.stop()


class One(Fake):
    """The first of two servers of the command line's tests."""

    def __init__(self) -> None:
        super().__init__("one", ["one", "one-side"])


class Two(Fake):
    """The second."""

    def __init__(self) -> None:
        super().__init__("two", ["two"])


class Lacking(Fake):
    """One whose tools are missing."""

    def __init__(self) -> None:
        super().__init__("lacking", lacks=[Missing("JDK 17", "Java 25", "install a JDK 17")])
