"""Who is let in by the token, how the browser gets it, and where it does not stay."""

from __future__ import annotations

import hmac
import re
from http.cookies import SimpleCookie
from urllib.parse import quote, urljoin

import pytest
from asked import Answer, Inner, ask

from pages.shell.server import token_gate
from pages.shell.server.token_gate import TokenGate

TOKEN = "a long secret; ü=%/+ 1"
"""With what a query, a cookie and a header would each have to escape."""
PATHS = (
    "/", "/runs", "/index.html", "/static/js/index.js", "/_stcore/host-config", "/_stcore/metrics",
    "/_stcore/bidi-components/x/index.js", "/component/x/index.html", "/media/abc.csv",
    "/_stcore/upload_file/a/b", "/_stcore/agent/interact", "/oauth2callback", "/_stcore/health/",
    "/app/static/x",
)  # fmt: skip


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def gate(inner: Inner) -> TokenGate:
    return TokenGate(inner, TOKEN, "/dash")


def cookie_of(answer: Answer) -> SimpleCookie:
    return SimpleCookie(answer.headers["set-cookie"])


def sent(answer: Answer) -> tuple[str, str]:
    (morsel,) = cookie_of(answer).values()
    return "cookie", f"other=1; {morsel.key}={morsel.value}; more=2"


def enter(gate: TokenGate, path: str = "/", query: str = "") -> Answer:
    return ask(gate, path, f"token={quote(TOKEN)}{query}")


@pytest.mark.parametrize("path", PATHS)
def test_without_it_nothing_is_answered_with_it_everything(gate: TokenGate, inner: Inner, path: str) -> None:
    for headers in ([], [("cookie", "a=b")], [("cookie", f"{gate.cookie}=")], [("authorization", "Basic x")]):
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(gate, path, headers=headers, method=method).status == 401
    assert inner.scopes == []
    answer = ask(gate, path, headers=[sent(enter(gate))])
    assert (answer.status, answer.body) == (200, b"inside")


def test_a_web_socket_needs_the_cookie(gate: TokenGate, inner: Inner) -> None:
    path = "/_stcore/stream"
    cookie = sent(enter(gate))
    for headers in ([], [(cookie[0], cookie[1].replace("; more", "0; more"))]):
        assert ask(gate, path, headers=headers, kind="websocket").status == 403
    assert ask(gate, path, f"token={quote(TOKEN)}", kind="websocket").status == 403
    assert inner.scopes == []
    assert ask(gate, path, headers=[cookie], kind="websocket").status == 101


@pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN + "1", TOKEN.upper(), "\x00", "ü", "🧠"])
def test_a_wrong_token_opens_nothing(gate: TokenGate, inner: Inner, given: str) -> None:
    answer = ask(gate, query=f"token={quote(given)}")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert token_gate.WRONG in answer.body.decode()
    assert ask(gate, headers=[("authorization", f"Bearer {given}".encode().decode("latin-1"))]).status == 401
    assert inner.scopes == []
    # neither is it let in by a cookie: whoever follows an old link is told so
    assert ask(gate, query=f"token={quote(given)}", headers=[sent(enter(gate))]).status == 401


def test_of_several_tokens_one_decides(gate: TokenGate) -> None:
    assert ask(gate, query=f"token={quote(TOKEN)}&token=x").status == 401
    assert ask(gate, query=f"token=x&token={quote(TOKEN)}").status == 303


def test_the_cookie_is_the_browsers_alone_and_says_nothing_of_the_token(gate: TokenGate) -> None:
    answer = enter(gate)
    (morsel,) = cookie_of(answer).values()
    assert morsel["httponly"] is True
    assert morsel["samesite"] == "lax"
    assert (morsel["path"], morsel["max-age"], morsel["expires"], morsel["domain"]) == ("/dash", "", "", "")
    assert not morsel["secure"]
    assert TOKEN not in answer.headers["set-cookie"]
    assert quote(TOKEN) not in answer.headers["set-cookie"]
    assert answer.headers["cache-control"] == "no-store"
    (safe,) = cookie_of(ask(gate, query=f"token={quote(TOKEN)}", scheme="https")).values()
    assert safe["secure"] is True


def test_two_servers_under_one_name_have_two_cookies(inner: Inner) -> None:
    """A browser sends the cookies of a name to all its ports."""
    first, second = TokenGate(inner, "first", "/"), TokenGate(inner, "second", "/")
    assert first.cookie != second.cookie
    cookie = sent(ask(first, query="token=first"))
    assert ask(second, headers=[cookie]).status == 401


@pytest.mark.parametrize(
    ("seen", "path", "query", "left"),
    [
        # what the browser asked for, what reaches the server, the rest of the query, where it is sent
        ("http://h/", "/", "", "http://h/"),
        ("http://h/runs", "/runs", "&run=a%20b&layer=1", "http://h/runs?run=a%20b&layer=1"),
        ("http://h/dash", "/dash", "", "http://h/dash"),
        ("http://h/dash/", "/dash/", "", "http://h/dash/"),
        ("https://h/user/x/proxy/8501/", "/", "&run=", "https://h/user/x/proxy/8501/?run="),
        ("https://h/user/x/proxy/8501/runs", "/runs", "&a=1&a=2", "https://h/user/x/proxy/8501/runs?a=1&a=2"),
        ("http://h/a%20b", "/a b", "", "http://h/a%20b"),
        ("http://h/javascript:x", "/javascript:x", "", "http://h/javascript%3Ax"),
        # never to another host; Python's urljoin makes one slash of two
        ("http://h//evil.example", "//evil.example", "", "http://h/evil.example"),
        ("http://h//evil.example/", "//evil.example/", "", "http://h/evil.example/"),
        ("http://h/\\evil.example", "/\\evil.example", "", "http://h/%5Cevil.example"),
        ("http://h/x%0d%0aSet-Cookie:a", "/x\r\nSet-Cookie:a", "", "http://h/x%0D%0ASet-Cookie%3Aa"),
    ],
)
def test_the_token_leaves_the_address_and_nothing_else_does(
    gate: TokenGate, seen: str, path: str, query: str, left: str
) -> None:
    answer = enter(gate, path, query)
    assert answer.status == 303
    assert urljoin(f"{seen}?token=x", answer.headers["location"]) == left


def test_a_program_sends_it_as_a_header(gate: TokenGate, inner: Inner) -> None:
    gate = TokenGate(inner, "plain-secret", "/")
    for scheme in ("Bearer", "bearer"):
        assert ask(gate, headers=[("authorization", f"{scheme} plain-secret")]).status == 200
    for value in ("plain-secret", "Basic plain-secret", "Bearer", "Bearer plain-secre"):
        assert ask(gate, headers=[("authorization", value)]).status == 401


def test_the_health_check_needs_none(gate: TokenGate) -> None:
    assert ask(gate, "/_stcore/health").status == 200
    assert ask(gate, "/_stcore/health", method="POST").status == 401


def test_tokens_are_compared_in_constant_time(gate: TokenGate, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[object, object]] = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return first == second

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for query, headers in (
        ("token=x", []),
        ("", [("cookie", f"{gate.cookie}=y")]),
        ("", [("authorization", "Bearer z")]),
    ):
        compared.clear()
        assert ask(gate, query=query, headers=headers).status == 401
        assert compared
    assert ask(gate, headers=[sent(enter(gate))]).status == 200


def test_a_refusal_is_a_page_without_scripts_that_is_not_kept(gate: TokenGate) -> None:
    answer = ask(gate)
    page = answer.body.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "prefers-color-scheme: dark" in page
    assert "<script" not in page
    assert "http" not in page.replace("<!doctype html>", "")  # it asks nothing of anywhere
    assert token_gate.WRONG not in page


def test_its_form_keeps_the_rest_of_the_address_as_text(gate: TokenGate) -> None:
    page = ask(gate, query="run=a%20b&x=%22%3E%3Cscript%3E1%3C/script%3E&token=wrong&run=c").body.decode()
    hidden = re.findall('<input type="hidden" name="(.*?)" value="(.*?)">', page)
    assert hidden == [("run", "a b"), ("x", "&quot;&gt;&lt;script&gt;1&lt;/script&gt;"), ("run", "c")]
    assert "<script" not in page
