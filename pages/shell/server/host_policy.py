"""What every answer of the server is bound to: it is given under the server's own names, and sends the
browser nowhere else.

Streamlit itself refuses foreign names where a session begins (its web socket); here the same names hold for
every request. The
headers make a browser enforce what the pages promise: it asks no other host, runs no script that stands in a
page instead of in a file of the server, and shows the dashboard inside no other page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import streamlit as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_INDEX = Path(st.__file__).with_name("static") / "index.html"


def _inline_scripts() -> list[str]:
    """Hashes of the scripts inside Streamlit's own page, as a policy names them."""
    scripts = re.findall(r"<script>(.*?)</script>", _INDEX.read_text("utf-8"), re.DOTALL)
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    ]


POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        # The canvas components' files come as blobs; plotly's WebGL traces compile functions. No script in a
        # page's text runs.
        " ".join(["script-src 'self' blob: 'unsafe-eval'", *_inline_scripts()]),
        "style-src 'self' 'unsafe-inline'",
        # not every browser counts a web socket as 'self'
        "connect-src 'self' data: blob: ws://localhost:* ws://127.0.0.1:*",
        "base-uri 'self'",
        "form-action 'self'",
        "object-src 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class HostPolicy:
    """ASGI middleware: refuses requests whose Host is none of `server.allowedHosts`, adds HEADERS to all
    other answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _host(scope) not in st.get_option("server.allowedHosts"):
            await send(
                {"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]}
            )
            await send({"type": "http.response.body", "body": b"This server answers to its own names alone."})
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((k.encode(), v.encode()) for k, v in HEADERS.items()),
                ]
            await send(message)

        await self._app(scope, receive, with_headers)


def _host(scope: Scope) -> str:
    """The name in the request's Host header, without its port."""
    found = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return found.rsplit(":", 1)[0] if found.rpartition(":")[2].isdecimal() else found
