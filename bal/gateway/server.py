"""Serving: applications over TLS or a Unix socket, in the service's own event loop, with limits."""

import asyncio
import contextlib
import socket
import ssl
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from bal.core.errors import Misconfigured

HEADER_BYTES: Final = 32 * 1024
"""Longest request line and headers; ours have 3 kB with a token."""
HEADER_SECONDS: Final = 10.0
"""Longest time a request line and its headers take to arrive."""
WRITE_SECONDS: Final = 60.0
"""Longest time a client takes nothing of an answer that waits for it."""
KEEP_ALIVE_SECONDS: Final = 20
CONNECTIONS: Final = 1000
STOP_SECONDS: Final = 5
"""How long answers that are under way may take when the server stops."""
SOCKET_PATH_BYTES: Final = 100
"""Longest path of a Unix socket; the kernel takes 107 (Linux) or 103 (others)."""
CONTROL_SOCKET: Final = "control.sock"
_MALFORMED: Final = b'{"type":"urn:bal:problem:malformed","title":"This is not HTTP.","status":400}'


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a time limit on headers and on clients that do not read, and a limit on connections."""

    header_seconds = HEADER_SECONDS
    write_seconds = WRITE_SECONDS
    connections_most = CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.connections_most:
            transport.abort()
            return
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        for timer in (self._header_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        super().data_received(data)
        self._watch_headers()

    def on_response_complete(self) -> None:
        """Go on with the next request, of which a part may have come already."""
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            self._watch_headers()

    def _watch_headers(self) -> None:
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            if self._header_timer is None:
                self._header_timer = self.loop.call_later(self.header_seconds, self._headers_late)
        elif self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _headers_late(self) -> None:
        self._header_timer = None
        if self.conn.their_state is h11.IDLE:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Note that the client takes nothing for now."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client took what waited."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP with a problem document, without a word of it."""
        del msg
        headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
        with contextlib.suppress(h11.LocalProtocolError):  # an answer is under way already
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=_MALFORMED),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Embedded(uvicorn.Server):
    """uvicorn's server, which leaves the signals to the service it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """An application being served; use it as an asynchronous context manager, which stops it gracefully."""

    def __init__(
        self,
        app: ASGIApp,
        listening: socket.socket,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        protocol: type[BoundedProtocol] = BoundedProtocol,
        stop_seconds: int = STOP_SECONDS,
        path: Path | None = None,
    ) -> None:
        self._socket = listening
        self._path = path
        self._config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=stop_seconds,
            h11_max_incomplete_event_size=HEADER_BYTES,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_context_factory=_tls if certificate is not None else None,
        )
        self._server = _Embedded(self._config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 for a Unix socket."""
        name = self._socket.getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0

    async def __aenter__(self) -> Self:
        try:
            self._config.load()
        except (OSError, ssl.SSLError) as error:
            self._socket.close()
            message = "the server certificate or its key cannot be used"
            raise Misconfigured(message, remedy="make them anew with `bal pki`") from error
        self._task = asyncio.create_task(self._server.serve([self._socket]), name="http server")
        while not self._server.started:
            if self._task.done():
                await self._task
                raise Misconfigured("the server did not start")
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._server.should_exit = True
        await self._task
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _tls(config: uvicorn.Config, default: Any) -> ssl.SSLContext:
    del config
    context: ssl.SSLContext = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address; port 0 takes any free one. `Misconfigured` when it is taken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _unusable(host, port, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(socket.SOMAXCONN)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise _unusable(host, port, error) from error
    return listening


def _unusable(host: str, port: int, error: OSError) -> Misconfigured:
    message = f"this address cannot be listened on ({error.strerror})"
    return Misconfigured(message, subject=f"{host}:{port}", remedy="choose another port or host")


def https_server(app: ASGIApp, listening: socket.socket, certificate: Path, key: Path) -> HttpServer:
    """Return a server of `app` over TLS."""
    return HttpServer(app, listening, certificate=certificate, key=key)


def control_socket_path(home: Path) -> Path:
    """Return where the control socket of a home goes: in it, or in a folder of its own where its path is too long."""
    path = home / CONTROL_SOCKET
    if len(str(path).encode()) <= SOCKET_PATH_BYTES:
        return path
    return Path(tempfile.mkdtemp(prefix="bal-")) / CONTROL_SOCKET  # mkdtemp: for its owner only


def socket_server(app: ASGIApp, path: Path) -> HttpServer:
    """Return a server of `app` on a Unix socket for its owner only; one left by a process that was killed is replaced.

    The caller holds the home. `Misconfigured` where something else has this name.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise Misconfigured("this is not a socket", subject=path.name, remedy="move it out of the way")
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    beside = path.with_name(f".{path.name[:8]}")
    try:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        listening.bind(str(beside))
        beside.chmod(0o600)
        listening.listen(64)  # nobody connects before its mode is set and it has its name
        beside.rename(path)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        message = f"the control socket cannot be made ({error.strerror})"
        raise Misconfigured(message, subject=path.name) from error
    return HttpServer(app, listening, path=path)
