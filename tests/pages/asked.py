"""An ASGI application asked as a server would ask it, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Pairs = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """status: 101 for a web socket that was accepted, 403 for one that was closed before."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Inner:
    """What stands behind the middleware: answers 200 or accepts, and keeps the scopes that reached it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"inside"})


def ask(
    app: ASGIApp, path: str = "/", query: str = "", headers: Pairs = (), kind: str = "http", **more: Any
) -> Answer:
    """One request. kind: http or websocket; more: other keys of its scope."""
    scope: Scope = {
        "type": kind, "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": query.encode(), "scheme": "http" if kind == "http" else "ws",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers], **more,
    }  # fmt: skip
    answer = Answer()

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")
        else:
            answer.status = 101 if message["type"] == "websocket.accept" else 403

    with ThreadPoolExecutor(1) as thread:  # a browser that another test drives has a loop in this one
        thread.submit(lambda: asyncio.run(app(scope, receive, send))).result()
    return answer
