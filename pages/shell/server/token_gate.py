"""Answers only whoever has the server's token: pages, files, web sockets, everything but the health check.

A browser brings it once, in a link (`?token=...`); it gets a cookie and is sent to the same address without
the token, so that no address bar, history entry or copied link keeps it. A program may send it as
`Authorization: Bearer TOKEN` instead.
"""

from __future__ import annotations

import hashlib
import hmac
from html import escape
from urllib.parse import quote, urlencode

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from pages.shell.server.host_policy import POLICY_VIOLATION, is_health_check

KEY = "token"
"""Of the query."""
_NOT_STORED = {"cache-control": "no-store"}

REFUSAL = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Token needed · Distributional neurons</title>
<style>
  :root {{ --page: #f1f4f7; --card: #fcfdfe; --text: #0c131a; --faint: #4b5661; --line: #8a96a3;
    --accent: #0b6b9c; --on-accent: #ffffff; --wrong: #b3261e }}
  @media (prefers-color-scheme: dark) {{
    :root {{ --page: #0e141a; --card: #18212a; --text: #e3e9ef; --faint: #a3afba; --line: #5d6b78;
      --accent: #4cc2f1; --on-accent: #0e141a; --wrong: #ff9d94 }}
  }}
  body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page);
    color: var(--text); font: 15px/1.5 "Source Sans", "Source Sans Pro", system-ui, sans-serif }}
  main {{ box-sizing: border-box; width: min(30rem, 100vw - 2rem); margin: 1rem; padding: 1.75rem 2rem;
    background: var(--card); border: 1px solid color-mix(in srgb, var(--line) 45%, transparent);
    border-radius: 6px }}
  h1 {{ margin: 0 0 .5rem; font-size: 1.35rem; font-weight: 650 }}
  p {{ margin: 0 0 1rem; color: var(--faint) }}
  [role=alert] {{ color: var(--wrong) }}
  code {{ color: var(--text); font-size: .9em }}
  label {{ display: block; margin-bottom: .25rem; font-weight: 600 }}
  form div {{ display: flex; gap: .5rem }}
  input, button {{ font: inherit; padding: .45rem .75rem; border-radius: 6px }}
  input {{ flex: 1; min-width: 0; color: inherit; background: transparent; border: 1px solid var(--line) }}
  button {{ color: var(--on-accent); background: var(--accent); border: 0; font-weight: 600 }}
  :focus-visible {{ outline: 2px solid var(--accent); outline-offset: 2px }}
</style>
<main>
  <h1>This dashboard asks for its token</h1>
  {said}
  <p>Open the link that the server printed when it started; it ends in <code>?token=…</code>. Or paste the
  token here. Your browser then keeps it in a cookie until it is closed.</p>
  <form>
    <label for="token">Token</label>
    {kept}
    <div>
      <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
      <button>Open</button>
    </div>
  </form>
</main>
</html>
"""
WRONG = '<p role="alert">The token that you gave is not the one of this server.</p>'


class TokenGate:
    """ASGI middleware: 401 for a request without the token, a closed handshake for a web socket.

    token: not empty. cookie_path: the cookie is sent to what lies under it.
    """

    def __init__(self, app: ASGIApp, token: str, cookie_path: str) -> None:
        self._app = app
        self._token = token
        self._path = cookie_path
        # Cookies know no ports: two servers under one name need two names of cookies. A digest may hold any
        # token, whatever its characters.
        digest = hmac.new(token.encode(), b"cookie of the dashboard", hashlib.sha256).hexdigest()
        self.cookie, self._value = f"dashboard_{digest[:8]}", digest[8:]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or is_health_check(scope):
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        given = request.query_params.getlist(KEY)
        if scope["type"] == "http" and given:
            answer = self._enter(request) if _same(given[-1], self._token) else _refused(request, wrong=True)
            await answer(scope, receive, send)
        elif self._knows(request):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _refused(request, wrong=False)(scope, receive, send)
        else:
            await WebSocketClose(POLICY_VIOLATION)(scope, receive, send)

    def _knows(self, request: HTTPConnection) -> bool:
        scheme, _, sent = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(sent.strip(), self._token):
            return True
        return _same(request.cookies.get(self.cookie, ""), self._value)

    def _enter(self, request: HTTPConnection) -> Response:
        """The cookie, and the same address without the token.

        The address is relative, since a proxy may have taken a path off the one that the browser sees.
        """
        kept = urlencode(_rest(request), quote_via=quote)
        place = f"./{quote(request.scope['path'].rpartition('/')[2])}"
        answer = Response(
            status_code=303, headers={"location": f"{place}?{kept}" if kept else place, **_NOT_STORED}
        )
        answer.set_cookie(
            self.cookie, self._value, path=self._path, httponly=True, samesite="lax",
            secure=request.scope["scheme"] == "https",
        )  # fmt: skip
        return answer


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _rest(request: HTTPConnection) -> list[tuple[str, str]]:
    """The query without the token."""
    return [(name, value) for name, value in request.query_params.multi_items() if name != KEY]


def _refused(request: HTTPConnection, wrong: bool) -> Response:
    """The page that says so; its form asks for the same address, with the token."""
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in _rest(request)
    )
    page = REFUSAL.format(said=WRONG if wrong else "", kept=kept)
    return HTMLResponse(page, 401, {"www-authenticate": "Bearer", **_NOT_STORED})
