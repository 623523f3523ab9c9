"""The guard around every application: limits, headers, log lines and metrics, and a problem for whatever escapes."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bal.core.errors import BalError, Malformed, Overloaded, TooLarge
from bal.gateway.problems import TooSlow, internal_problem, problem_response, response_of
from bal.metrics import Metrics

_log = structlog.get_logger()

SMALL_BODY_BYTES: Final = 1024 * 1024
"""Largest body of a route that is not for documents; a certificate has 2 kB."""
SMALL_BODY_SECONDS: Final = 30.0
"""Longest time such a body takes to arrive."""
REQUESTS: Final = 512
"""Most requests at a time: each may hold a database cursor, half of them a subscription."""
DRAIN_BYTES: Final = 1024 * 1024
DRAIN_SECONDS: Final = 2.0
"""How much of an unwanted body is read, so that its sender gets the answer and not a reset connection."""
FRAMINGS: Final = frozenset({b"content-length", b"transfer-encoding"})
PAGES: Final = frozenset({"/docs", "/openapi.json"})
"""Paths that are no routes with a template."""
METHODS: Final = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"})
_HEADERS: Final = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
}


def is_public(issuer: str) -> bool:
    """Tell whether an issuer is known by a name of its own: browsers may then be told to insist on TLS."""
    host = urlsplit(issuer).hostname or ""
    return "." in host and not host.replace(".", "").isdigit()


class Guard:
    """ASGI middleware around one application.

    `large` are the paths that read bodies under limits of their own. Nothing of a request but its method, route
    template, status, duration and client is logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics | None = None,
        large: frozenset[str] = frozenset(),
        requests: int = REQUESTS,
        drain_bytes: int = DRAIN_BYTES,
        strict_transport: bool = False,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._large = large
        self._most = requests
        self._drain_bytes = drain_bytes
        self._headers = dict(_HEADERS)
        if strict_transport:
            self._headers[b"strict-transport-security"] = b"max-age=31536000"
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._headers, self._drain_bytes)
        if scope["path"] not in self._large:
            exchange.limit(SMALL_BODY_BYTES, SMALL_BODY_SECONDS)
        began = time.monotonic()
        self._running += 1
        try:
            await self._answer(exchange)
        finally:
            self._running -= 1
            self._tell(exchange, time.monotonic() - began)

    async def _answer(self, exchange: "_Exchange") -> None:
        scope = exchange.scope
        try:
            if self._running > self._most and scope["path"] != "/livez":
                raise Overloaded("too many requests are being answered", remedy="try again later")
            if {name for name, _ in scope["headers"]} >= FRAMINGS:
                exchange.last = True  # RFC 9112, section 6.3: the next request could be smuggled
                raise Malformed("this request gives the length of its body in two ways")
            await self._app(scope, exchange.receive, exchange.send)
        except BalError as error:
            await exchange.fail(response_of(error))
        except Exception as error:  # noqa: BLE001 - whatever escapes, the sender gets a problem and no text of it
            _log.error(
                "request failed", request=exchange.id, route=exchange.route, error=type(error).__name__,
                place=_place(error),
            )  # fmt: skip
            await exchange.fail(problem_response(internal_problem()))

    def _tell(self, exchange: "_Exchange", seconds: float) -> None:
        method = exchange.scope["method"]
        method = method if method in METHODS else "other"
        if self._metrics is not None:
            self._metrics.request(method, exchange.route, exchange.status, seconds)
        facts = {"client": exchange.scope["bal.client"]} if "bal.client" in exchange.scope else {}
        _log.debug(
            "request",
            request=exchange.id,
            method=method,
            route=exchange.route,
            status=exchange.status,
            seconds=round(seconds, 4),
            **facts,
        )


class _Exchange:
    """One request and its answer, with what was seen of them so far."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], drain_bytes: int
    ) -> None:
        self.scope = scope
        self.id = secrets.token_hex(8)
        self.status = 0
        self.last = False
        """Whether the connection ends with this answer."""
        self._receive = receive
        self._send = send
        self._headers = headers
        self._drain_bytes = drain_bytes
        self._cap: int | None = None
        self._deadline = 0.0
        self._taken = 0
        self._complete = False
        self._asked = False

    @property
    def route(self) -> str:
        """The template of the route that answers; never what was sent."""
        path = getattr(self.scope.get("route"), "path", None)
        if isinstance(path, str):
            return path
        return self.scope["path"] if self.scope["path"] in PAGES else "unmatched"

    def limit(self, cap: int, seconds: float) -> None:
        """Refuse a body of more than `cap` bytes or one that takes longer than `seconds`."""
        self._cap = cap
        self._deadline = time.monotonic() + seconds

    async def receive(self) -> Message:
        """Hand on the next part of the body."""
        self._asked = True
        if self._cap is None or self._complete:
            message = await self._receive()
        else:
            try:
                async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                    message = await self._receive()
            except TimeoutError as error:
                raise BodyRefused(TooSlow("the body did not arrive in time")) from error
        self._count(message)
        if self._cap is not None and self._taken > self._cap:
            raise BodyRefused(TooLarge(f"the body has more than {self._cap} bytes"))
        return message

    def _count(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        else:
            self._complete = True

    def _has_body(self) -> bool:
        return bool(FRAMINGS & {name for name, _ in self.scope["headers"]})

    def _over(self) -> bool:
        return self._complete

    async def send(self, message: Message) -> None:
        """Hand on a part of the answer, with the headers every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.status >= 400:
                await self._drain()
            given = {name.lower() for name, _ in message.get("headers", [])}
            own = [(name, value) for name, value in self._headers.items() if name not in given]
            own.append((b"x-request-id", self.id.encode()))
            unread = self.status >= 400 and not self._complete and self._has_body()
            if self.last or unread:
                own.append((b"connection", b"close"))
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await self._send(message)

    async def fail(self, response: Response) -> None:
        """Answer with `response` where no answer has begun; else the connection ends unfinished."""
        if self.status == 0:
            await response(self.scope, self.receive, self.send)

    async def _drain(self) -> None:
        expecting = any(name == b"expect" for name, _ in self.scope["headers"])
        if self._complete or not self._has_body() or (expecting and not self._asked):
            return
        left = self._drain_bytes
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while left > 0 and not self._over():
                    before = self._taken
                    self._count(await self._receive())
                    left -= self._taken - before
        except TimeoutError:
            return


class BodyRefused(HTTPException):
    """A body that is not read on. An HTTPException, because frameworks let no other error through body parsing."""

    def __init__(self, error: BalError) -> None:
        super().__init__(error.status)
        self.error = error


async def body_refused(_: Any, error: Exception) -> Response:
    """Answer a body that is not read on; an exception handler of Starlette."""
    assert isinstance(error, BodyRefused)
    return response_of(error.error)


def _place(error: BaseException) -> str:
    """Return file and line an error was raised at: its text may hold what was sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_globals.get('__name__', '')}:{trace.tb_lineno}"
