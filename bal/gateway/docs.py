"""The page of the API, made of its OpenAPI document here: it loads nothing from anywhere and runs no script."""

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.requests import Request

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.1rem;margin:2rem 0 .3rem}code{font-family:ui-monospace,monospace}
h2 code{background:#eef1f5;padding:.15rem .4rem;border-radius:.25rem}table{border-collapse:collapse;margin:.4rem 0}
td,th{border:1px solid #d5dbe2;padding:.2rem .6rem;text-align:left;vertical-align:top}.scope{color:#5b21b6}
@media(prefers-color-scheme:dark){body{background:#14171b;color:#dde3ea}h2 code{background:#252b33}td,th{border-color:#3a424d}
.scope{color:#c4b5fd}}
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'; base-uri 'none'"


def page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    title = escape(document["info"]["title"])
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>",
        f"<p>{escape(document['info'].get('description', ''))}</p>",
        '<p>The same for machines: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += _operation(path, method, operation)
    return "".join([*parts, "</body></html>"])


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code> {escape(operation.get('summary', ''))}</h2>"
    scopes = [scope for way in operation.get("security", []) for each in way.values() for scope in each]
    needed = ", ".join(map(escape, scopes))
    yield f'<p class="scope">Scope: {needed}</p>' if needed else '<p class="scope">No token needed.</p>'
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    rows = [
        (parameter["name"], parameter["in"], parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    if rows:
        cells = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(place)}</td><td>{escape(meaning)}</td></tr>"
            for name, place, meaning in rows
        )
        yield f"<table><tr><th>Parameter</th><th>in</th><th></th></tr>{cells}</table>"
    answers = ", ".join(
        f"{escape(code)} {escape(answer.get('description', ''))}"
        for code, answer in operation.get("responses", {}).items()
    )
    yield f"<p>Answers: {answers}</p>"


def install(app: FastAPI) -> None:
    """Serve the page at /docs."""

    async def docs(_: Request) -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": POLICY})

    app.add_route("/docs", docs, methods=["GET"], include_in_schema=False)
