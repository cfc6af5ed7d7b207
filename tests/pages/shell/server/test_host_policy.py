"""Under which names requests and web sockets are answered, and what a policy holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asked import Inner, ask
from streamlit import config, net_util
from streamlit.web.server.starlette.starlette_websocket import _is_origin_allowed

from pages.shell.server import host_policy
from pages.shell.server.host_policy import HostPolicy

NAMES = ["localhost", "127.0.0.1", "::1", "Dash.Example.org", "*.cluster.example"]


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def policy(inner: Inner) -> Iterator[HostPolicy]:
    before = config.get_option("server.allowedHosts")
    config.set_option("server.allowedHosts", NAMES)
    yield HostPolicy(inner, host_policy.headers(NAMES))
    config.set_option("server.allowedHosts", before)


def allow(*names: str) -> None:
    config.set_option("server.allowedHosts", list(names))


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("localhost", True),
        ("localhost:8501", True),
        ("LOCALHOST:8501", True),
        ("127.0.0.1:1", True),
        ("[::1]", True),
        ("[::1]:8501", True),
        ("dash.example.org", True),
        ("DASH.example.ORG:443", True),
        ("dash.example.org.", True),
        ("gpu7.cluster.example", True),
        ("a.b.Cluster.example:8501", True),
        ("cluster.example", False),
        ("notcluster.example", False),
        ("attacker.example", False),
        ("127.0.0.1.attacker.example", False),
        ("localhost@attacker.example", False),
        ("attacker.example@localhost", False),
        ("localhost:port", False),
        ("localhost:99999", False),
        ("localhost/", False),
        ("[::2]", False),
        ("", False),
        (None, False),
    ],
)
def test_names(policy: HostPolicy, inner: Inner, kind: str, host: str | None, answered: bool) -> None:
    answer = ask(policy, kind=kind, headers=[] if host is None else [("host", host)])
    assert answer.status == ((200 if kind == "http" else 101) if answered else 403)
    assert bool(inner.scopes) == answered


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_star_is_every_name_and_no_name_is_none(policy: HostPolicy, kind: str) -> None:
    allow("*")
    good = 200 if kind == "http" else 101
    for host in ("127.0.0.1:8501", "any.example", "[2001:db8::1]:8501"):
        assert ask(policy, kind=kind, headers=[("host", host)]).status == good
    for headers in ([], [("host", "")], [("host", "a/b")]):
        assert ask(policy, kind=kind, headers=headers).status == 403


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_a_proxy_says_of_the_name_is_not_believed(policy: HostPolicy, kind: str) -> None:
    for name in ("x-forwarded-host", "forwarded", "x-host", "x-original-host"):
        value = "host=localhost" if name == "forwarded" else "localhost"
        headers = [("host", "attacker.example"), (name, value)]
        assert ask(policy, kind=kind, headers=headers).status == 403
        headers = [("host", "localhost"), (name, value.replace("localhost", "attacker.example"))]
        assert ask(policy, kind=kind, headers=headers).status == (200 if kind == "http" else 101)


def test_the_health_check_is_answered_under_every_name_and_nothing_else_is(policy: HostPolicy) -> None:
    for headers in ([("host", "10.1.2.3:8501")], []):
        assert ask(policy, "/_stcore/health", headers=headers).status == 200
        assert ask(policy, "/_stcore/health", headers=headers, method="HEAD").status == 200
        assert ask(policy, "/_stcore/health", headers=headers, method="POST").status == 403
        for path in (
            "/_stcore/health/", "/_stcore/healthy", "/_stcore/health/../stream", "/x/_stcore/health",
            "/_stcore/metrics", "/_stcore/host-config", "/",
        ):  # fmt: skip
            assert ask(policy, path, headers=headers).status == 403, path
        assert ask(policy, "/_stcore/health", headers=headers, kind="websocket").status == 403


def test_under_a_base_path_the_health_check_is_there(policy: HostPolicy) -> None:
    config.set_option("server.baseUrlPath", "/dash")
    try:
        assert ask(policy, "/dash/_stcore/health").status == 200
        assert ask(policy, "/_stcore/health").status == 403
    finally:
        config.set_option("server.baseUrlPath", "")


ORIGINS = [
    # names, Host, Origin, whether the web socket opens
    (NAMES, "localhost:8501", "http://localhost:8501", True),
    (NAMES, "localhost:8501", "http://attacker.example", False),
    (NAMES, "localhost:8501", "null", False),
    (NAMES, "localhost:8501", "http://[", False),
    (NAMES, "localhost:8501", "http://localhost@attacker.example", False),
    (NAMES, "dash.example.org", "https://dash.example.org", True),
    (NAMES, "127.0.0.1:8501", "https://dash.example.org", True),  # a proxy put its own name into Host
    (NAMES, "127.0.0.1:8501", "https://a.cluster.example:8443", True),
    (["*"], "any.example:80", "http://any.example:80", True),
    (["*"], "127.0.0.1:8501", "http://any.example", False),
    (["*", "dash.example.org"], "127.0.0.1:8501", "http://dash.example.org", False),
    (["*"], "localhost:8501", "http://localhost:9999", False),
]


@pytest.mark.parametrize(("names", "host", "origin", "opened"), ORIGINS)
def test_pages_from_elsewhere_open_no_web_socket(
    policy: HostPolicy, inner: Inner, names: list[str], host: str, origin: str, opened: bool
) -> None:
    allow(*names)
    headers = [("host", host), ("origin", origin), ("cookie", "a=b")]
    assert ask(policy, kind="websocket", headers=headers).status == (101 if opened else 403)
    if opened:
        reached = dict(inner.scopes[0]["headers"])
        assert reached[b"host"].decode() == origin.split("//")[1]
        assert reached[b"cookie"] == b"a=b"


def test_an_origin_that_was_allowed_or_no_check_at_all_opens_it(
    policy: HostPolicy, inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net_util, "_external_ip", "192.0.2.1")  # Streamlit would ask an outside host for it
    headers = [("host", "localhost:8501"), ("origin", "https://notebooks.example")]
    for option, value in (("corsAllowedOrigins", ["https://notebooks.example"]), ("enableCORS", False)):
        before = config.get_option(f"server.{option}")
        config.set_option(f"server.{option}", value)
        try:
            assert ask(policy, kind="websocket", headers=headers).status == 101
            assert _is_origin_allowed("https://notebooks.example", "localhost:8501")
            assert dict(inner.scopes.pop()["headers"])[b"host"] == b"localhost:8501"
        finally:
            config.set_option(f"server.{option}", before)
        assert ask(policy, kind="websocket", headers=headers).status == 403


def test_streamlit_finds_the_origin_its_own_and_asks_no_outside_host(
    policy: HostPolicy, inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left alone it looks this machine's address up at an outside host for every origin it does not know."""
    asked: list[str] = []
    monkeypatch.setattr(net_util, "_external_ip", None)
    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda url, timeout: asked.append(url))
    for names, host, origin, _ in ORIGINS:
        allow(*names)
        inner.scopes.clear()
        ask(policy, kind="websocket", headers=[("host", host), ("origin", origin)])
        for scope in inner.scopes:
            reached = {name.decode(): value.decode() for name, value in scope["headers"]}
            assert _is_origin_allowed(reached["origin"], reached["host"])
    assert asked == []


def test_every_answer_carries_the_headers_a_refusal_too(policy: HostPolicy) -> None:
    for host in ("localhost", "attacker.example"):
        headers = ask(policy, headers=[("host", host)]).headers
        assert host_policy.headers(NAMES).items() <= headers.items()


def test_a_refusal_names_the_remedy(policy: HostPolicy) -> None:
    answer = ask(policy, headers=[("host", "<b>attacker.example")])
    assert (answer.status, answer.body.decode()) == (403, host_policy.REFUSED)
    assert "--allow-host" in host_policy.REFUSED


def directives(**more: list[str]) -> dict[str, list[str]]:
    policy = host_policy.headers(**more)["content-security-policy"]
    return {name: sources for name, *sources in (part.split() for part in policy.split("; "))}


def test_a_policy_lets_pages_reach_the_names_of_the_server_and_what_was_named() -> None:
    plain = directives()
    assert plain["connect-src"] == ["'self'", "data:", "blob:"]
    assert plain["frame-ancestors"] == ["'none'"]
    assert "'unsafe-inline'" not in plain["script-src"]
    told = directives(
        hosts=["dash.example.org", "*.cluster.example", "*", "::1"],
        frame_ancestors=["'self'", "https://hub.example.org"],
        connect_src=["https://api.example.org"],
    )
    assert told["frame-ancestors"] == ["'self'", "https://hub.example.org"]
    assert told["connect-src"][3:] == [
        "ws://dash.example.org:*", "wss://dash.example.org:*", "ws://*.cluster.example:*",
        "wss://*.cluster.example:*", "https://api.example.org",
    ]  # fmt: skip
    assert {name: told[name] for name in plain if name not in ("connect-src", "frame-ancestors")} == {
        name: plain[name] for name in plain if name not in ("connect-src", "frame-ancestors")
    }
