"""Requests of which every header is chosen, as no browser would send them."""

from __future__ import annotations

import http.client
from dataclasses import dataclass

SECONDS = 30  # that any one answer may take


@dataclass(frozen=True)
class Answer:
    """headers: names in lower case; cookie: what a browser would send from now on."""

    status: int
    body: bytes
    headers: dict[str, str]
    cookie: str


def ask(port: int, path: str, host: str | None = "127.0.0.1", **headers: str) -> Answer:
    """One request. host: what stands in Host; None for a request of HTTP/1.0 without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    if host is None:
        connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, value in {**({"Host": host} if host is not None else {}), **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = b"" if answer.status == 101 else answer.read()
    connection.close()
    got = answer.getheaders()
    cookie = "; ".join(value.split(";")[0] for name, value in got if name.lower() == "set-cookie")
    return Answer(answer.status, body, {name.lower(): value for name, value in got}, cookie)


def open_socket(port: int, path: str, host: str, **headers: str) -> int:
    """Status of a web socket's handshake: 101 if it is opened."""
    return ask(
        port, path, host, Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==", Sec_WebSocket_Protocol="streamlit", **headers,
    ).status  # fmt: skip
