"""What every answer of the server is bound to: it is given under the server's own names, and sends the
browser nowhere else.

Streamlit compares names where a session begins (its web socket) and for its agent routes; here its rule
holds for every request but the health check, which load balancers and containers ask under an address of
their own. The headers make a browser enforce what the pages promise: it asks no other host, runs no script
that stands in a page instead of in a file of the server, and shows the dashboard inside no page that was not
named.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit.url_util import make_url_path
from streamlit.web.server import server_util

try:
    from streamlit.web.server.starlette.starlette_websocket import is_host_allowed
except ImportError:  # Streamlit 1.66 has it under this name
    from streamlit.web.server.starlette.starlette_websocket import (  # type: ignore[attr-defined,no-redef]
        _is_host_allowed as is_host_allowed,
    )

_INDEX = Path(st.__file__).with_name("static") / "index.html"
REFUSED = (
    "This server answers to its own names alone. To have it answer to the name that you asked for, start it"
    " with `--allow-host NAME`."
)
POLICY_VIOLATION = 1008  # a web socket's closing code


def _inline_scripts() -> list[str]:
    """Hashes of the scripts inside Streamlit's own page, as a policy names them."""
    scripts = re.findall(r"<script>(.*?)</script>", _INDEX.read_text("utf-8"), re.DOTALL)
    return [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    ]


def headers(
    hosts: Iterable[str] = (), frame_ancestors: Sequence[str] = (), connect_src: Sequence[str] = ()
) -> dict[str, str]:
    """What is added to each answer, by lower-case name.

    hosts: names of the server, without port; pages may open web sockets to them, since not every browser
    counts these as 'self'. frame_ancestors, connect_src: sources as a policy writes them.
    """
    named = [name for name in dict.fromkeys(hosts) if name != "*" and ":" not in name]
    sockets = [f"{scheme}://{name}:*" for name in named for scheme in ("ws", "wss")]
    policy = (
        "default-src 'self' data: blob:",
        # The canvas components' files come as blobs; plotly's WebGL traces compile functions. No script in a
        # page's text runs.
        " ".join(["script-src 'self' blob: 'unsafe-eval'", *_inline_scripts()]),
        "style-src 'self' 'unsafe-inline'",
        " ".join(["connect-src 'self' data: blob:", *sockets, *connect_src]),
        "base-uri 'self'",
        "form-action 'self'",
        "object-src 'none'",
        " ".join(["frame-ancestors", *(frame_ancestors or ["'none'"])]),
    )
    return {
        "content-security-policy": "; ".join(policy),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


def is_health_check(scope: Scope) -> bool:
    """Whether a request is the health check, whose answer tells nothing but that the server runs."""
    return bool(
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and scope["path"] == make_url_path(st.get_option("server.baseUrlPath"), "_stcore/health")
    )


class HostPolicy:
    """ASGI middleware: refuses requests whose Host is none of `server.allowedHosts`, and web sockets of pages
    from elsewhere; adds headers to all answers.
    """

    def __init__(self, app: ASGIApp, added: dict[str, str]) -> None:
        self._app = app
        self._added = added

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._added)
            await send(message)

        if scope["type"] == "http":
            if is_health_check(scope) or is_host_allowed(Headers(scope=scope).get("host")):
                await self._app(scope, receive, with_headers)
            else:
                await PlainTextResponse(REFUSED, 403)(scope, receive, with_headers)
        elif scope["type"] == "websocket":
            sent = Headers(scope=scope)
            if is_host_allowed(sent.get("host")) and _is_own_page(sent.get("origin"), sent.get("host")):
                await self._app(_under_the_pages_name(scope), receive, send)
            else:
                await WebSocketClose(POLICY_VIOLATION)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_own_page(origin: str | None, host: str | None) -> bool:
    """Whether a web socket is opened by a page of this server, or by no page at all.

    A page's origin has the name that the browser asked for, a proxy may have put another into Host. Under
    `*` every name is allowed, which must not let every page in: then both have to be the same. Streamlit's
    own comparison comes after this one; left alone, it would look up this machine's address at an outside
    host for each origin that it does not know.
    """
    if origin is None or server_util.allow_all_cross_origin_requests():
        return True
    name = _netloc(origin)
    if name == host or server_util.is_allowed_origin(origin):
        return True
    allowed = st.get_option("server.allowedHosts")
    return bool(allowed) and "*" not in allowed and is_host_allowed(name)


def _under_the_pages_name(scope: Scope) -> Scope:
    """The request with the Host that the page's origin has, if it is one of the server's names: Streamlit
    compares the two.
    """
    name = _netloc(Headers(scope=scope).get("origin", ""))
    if not is_host_allowed(name):
        return scope
    return {**scope, "headers": [
        (key, name.encode("latin-1") if key == b"host" else value) for key, value in scope["headers"]
    ]}  # fmt: skip


def _netloc(origin: str) -> str:
    """Name and port of an origin; empty if it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
