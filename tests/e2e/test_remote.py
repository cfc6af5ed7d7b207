"""The dashboard behind a token and behind nginx, as docs/remote.md describes them: real servers, on this
machine alone.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from driving import drawn, keep, new_profile, replay
from planted import write_run
from playwright.sync_api import Browser, ConsoleMessage, expect
from raw_requests import SECONDS, ask, open_socket
from serving import ROOT, Server, free_port

TOKEN = "a-token-of-this-test"
NAME = "dash.localhost"  # which a browser takes for this machine
Start = Callable[..., Server]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Servers with options, one for each set of them in this file."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "planted", neurons=8, steps=60)
    with ExitStack() as stack:
        started: dict[tuple[str, ...], Server] = {}

        def get(*options: str, path: str = "", settings: tuple[str, ...] = ()) -> Server:
            key = (*settings, "--", *options)
            if key not in started:
                started[key] = stack.enter_context(
                    Server(folder, settings=settings, options=options, path=path)
                )
            return started[key]

        yield get


class Recorded:
    """A browser's profile in which a page asks only this machine; keeps what it asked for."""

    def __init__(self, browser: Browser, scheme: str = "light") -> None:
        self.context = new_profile(browser, color_scheme=scheme)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.sockets: list[str] = []
        self.messages: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda opened: self.sockets.append(opened.url))
        self.page.on("console", self._note)

    def _note(self, message: ConsoleMessage) -> None:
        # Streamlit tries where its server is, and a refusal is an error to the browser
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.messages.append(message.text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.fixture
def profile(browser: Browser) -> Iterator[Callable[..., Recorded]]:
    with ExitStack() as stack:
        yield lambda scheme="light": stack.enter_context(Recorded(browser, scheme))


# ---- the token


@pytest.mark.browser
def test_every_kind_of_answer_asks_for_the_token(start: Start, profile: Callable[..., Recorded]) -> None:
    """Page, Streamlit's files, downloads, web socket: all that a browser asked for while it drew the replay
    and a download.
    """
    server = start("--token", TOKEN)
    with profile() as seen:
        seen.page.goto(f"{server.address}/layers?token={TOKEN}&run=planted")
        drawn(seen.page)
        assert seen.page.url.startswith(f"{server.address}/layers?run=planted")
        assert "token" not in seen.page.url
        assert seen.page.evaluate("document.cookie").count("dashboard_") == 0  # no script reads it
        seen.page.go_back(wait_until="commit")
        assert "token" not in seen.page.url
        asked = [url for url in seen.asked if url.startswith(server.address) and "token=" not in url]
    cookie = ask(server.port, f"/?token={TOKEN}").cookie
    paths = sorted({url.removeprefix(server.address) for url in asked})
    kinds = {path.split("/")[1].split("?")[0] for path in paths}
    assert {"layers", "static", "_stcore"} <= kinds
    paths += [
        "/_stcore/bidi-components/x/x.js", "/component/x/x.js", "/media/x.csv", "/_stcore/metrics",
        "/_stcore/upload_file/x/y", "/_stcore/agent/openapi.json", "/oauth2callback", "/auth/login",
    ]  # fmt: skip
    for path in paths:
        if path == "/_stcore/health":
            continue
        assert ask(server.port, path).status == 401, path
        assert ask(server.port, path, Cookie=f"{cookie}0").status == 401, path
        assert ask(server.port, path, Cookie=cookie).status != 401, path
        assert ask(server.port, path, Authorization=f"Bearer {TOKEN}").status != 401, path
    assert ask(server.port, "/_stcore/health", host="10.0.0.9").body == b"ok"
    for sent, status in (({}, 403), ({"Cookie": f"{cookie}0"}, 403), ({"Cookie": cookie}, 101)):
        assert open_socket(server.port, "/_stcore/stream", "127.0.0.1", **sent) == status
    assert open_socket(server.port, f"/_stcore/stream?token={TOKEN}", "127.0.0.1") == 403
    assert ask(server.port, "/?token=x", Cookie=cookie).status == 401
    # names come first, and are no way around it
    assert ask(server.port, f"/?token={TOKEN}", host="attacker.example").status == 403
    assert open_socket(server.port, "/_stcore/stream", "attacker.example", Cookie=cookie) == 403


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_that_refuses_takes_the_token(
    start: Start, profile: Callable[..., Recorded], scheme: str
) -> None:
    server = start("--token", TOKEN)
    with profile(scheme) as seen:
        seen.page.goto(f"{server.address}/layers?run=planted&layer=layer+2")
        expect(seen.page.get_by_role("heading", name="asks for its token")).to_be_visible()
        keep(seen.page, f"token-{scheme}")
        expect(seen.page.get_by_label("Token")).to_be_focused()
        seen.page.get_by_label("Token").fill("wrong")
        seen.page.keyboard.press("Enter")
        expect(seen.page.get_by_role("alert")).to_be_visible()
        keep(seen.page, f"token-wrong-{scheme}")
        seen.page.get_by_label("Token").fill(TOKEN)
        seen.page.get_by_role("button", name="Open").click()
        drawn(seen.page)
        assert seen.page.url.startswith(f"{server.address}/layers?run=planted")
        assert "token" not in seen.page.url
        assert seen.messages == []


def test_names_lists_wildcards_and_ports(start: Start) -> None:
    server = start("--allow-host", "Dash.example.org", "*.cluster.example")
    for host in ("dash.EXAMPLE.org:1", "a.b.cluster.example", "localhost", "[::1]:8501", "127.0.0.1"):
        assert ask(server.port, "/", host).status == 200, host
        assert open_socket(server.port, "/_stcore/stream", host, Origin=f"http://{host}") == 101, host
    for host in ("cluster.example", "example.org", "[::2]", "", None):
        assert ask(server.port, "/", host).status == 403, host
        assert ask(server.port, "/", host, X_Forwarded_Host="localhost").status == 403, host
    assert open_socket(server.port, "/_stcore/stream", "localhost", Origin="http://attacker.example") == 403


def test_a_star_of_streamlits_own_option_is_every_name(start: Start) -> None:
    server = start(settings=("--server.allowedHosts", "*"))
    for host in ("127.0.0.1", "any.example:80", "[2001:db8::1]"):
        assert ask(server.port, "/", host).status == 200
        assert open_socket(server.port, "/_stcore/stream", host, Origin=f"http://{host}") == 101
    assert open_socket(server.port, "/_stcore/stream", "127.0.0.1", Origin="http://any.example") == 403


def test_several_names_of_streamlits_own_option(start: Start) -> None:
    server = start(settings=("--server.allowedHosts", "A.example", "--server.allowedHosts", "*.b.example"))
    for host, status in (("a.example", 200), ("x.b.example", 200), ("localhost", 403)):
        assert ask(server.port, "/", host).status == status


def test_a_frame_shows_it_only_where_one_was_named(start: Start) -> None:
    server = start("--frame-ancestors", "self", "https://hub.example", "--connect-src", "https://api.example")
    policy = ask(server.port, "/").headers["content-security-policy"]
    assert "frame-ancestors 'self' https://hub.example" in policy
    assert re.search("connect-src [^;]* https://api.example;", policy)


# ---- nginx


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Starts nginx with servers in its `http` block, of which `listen 80` becomes a free port, and returns
    that.
    """
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("no nginx: install it (Debian: apt-get install nginx-light) to test what is in front")
    started: list[subprocess.Popen[bytes]] = []

    def run(servers: str) -> int:
        port = free_port()
        folder = tmp_path / str(port)
        folder.mkdir()
        parts = [f"{part}_temp_path {folder}/{part};" for part in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi")]  # fmt: skip
        assert "listen 80;" in servers
        servers = servers.replace("listen 80;", f"listen 127.0.0.1:{port};")
        servers = servers.replace("/var/log/nginx", str(folder))
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{ worker_connections 256; }}\n"
            f"http {{\naccess_log off;\n{' '.join(parts)}\n{servers}}}\n"
        )
        started.append(subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)]))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert started[-1].poll() is None, (folder / "error.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            time.sleep(0.05)
        raise AssertionError("nginx does not listen")

    yield run
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=SECONDS)


def documented(server: Server) -> str:
    """The configuration of docs/remote.md, for this server."""
    (block,) = re.findall(r"^```nginx\n(.*?)^```$", (ROOT / "docs" / "remote.md").read_text(), re.M | re.S)
    assert "proxy_pass http://127.0.0.1:8501;" in block
    return str(block).replace("127.0.0.1:8501", f"127.0.0.1:{server.port}").replace("dash.example.org", NAME)


HOSTS = {
    "kept": lambda text: text,
    "without its port": lambda text: text.replace("Host $http_host", "Host $host"),
    "rewritten": lambda text: re.sub(r".*Host \$http_host.*\n", "", text),
}
BEHIND = ("--token", TOKEN, "--base-path", "/dash", "--allow-host", NAME)


@pytest.mark.parametrize("kind", HOSTS)
def test_behind_nginx(start: Start, nginx: Callable[[str], int], kind: str) -> None:
    server = start(*BEHIND, path="/dash")
    text = documented(server)
    assert kind == "kept" or HOSTS[kind](text) != text
    port = nginx(HOSTS[kind](text))
    host = f"{NAME}:{port}"
    assert ask(port, "/dash/_stcore/health", host).body == b"ok"
    assert ask(port, "/dash/", host).status == 401
    entered = ask(port, f"/dash/?token={TOKEN}", host)
    assert (entered.status, entered.headers["location"]) == (303, "./")
    assert "Path=/dash;" in entered.headers["set-cookie"]
    page = ask(port, "/dash/", host, Cookie=entered.cookie)
    assert page.status == 200
    script = re.search(r'src="\./(static/js/[^"]+)"', page.body.decode())
    assert script is not None
    file = ask(port, f"/dash/{script[1]}", host, Cookie=entered.cookie)
    assert "javascript" in file.headers["content-type"]
    assert ask(port, f"/dash/{script[1]}", host).status == 401
    stream, origin = "/dash/_stcore/stream", f"http://{host}"
    assert open_socket(port, stream, host, Origin=origin, Cookie=entered.cookie) == 101
    assert open_socket(port, stream, host, Origin=origin) == 403
    assert open_socket(port, stream, host, Origin="http://attacker.example", Cookie=entered.cookie) == 403
    # under another name nginx hands on what it is asked for; the dashboard knows only its own
    other = ask(port, "/dash/", "attacker.example", Cookie=entered.cookie, X_Forwarded_Host=NAME)
    assert other.status == (200 if kind == "rewritten" else 403)
    assert ask(port, f"/dash?token={TOKEN}", host).headers["location"].endswith(f"/dash/?token={TOKEN}")
    assert ask(port, "/", host, Cookie=entered.cookie).status == 404


def test_nginx_logs_no_token(start: Start, nginx: Callable[[str], int], tmp_path: Path) -> None:
    port = nginx(documented(start(*BEHIND, path="/dash")))
    ask(port, f"/dash/?token={TOKEN}", f"{NAME}:{port}")
    log = tmp_path / str(port) / "dash.log"
    end = time.monotonic() + SECONDS
    while not log.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    assert '"GET /dash/" 303' in log.read_text()
    assert TOKEN not in log.read_text()


def test_https_in_front_makes_the_cookie_secure(start: Start, nginx: Callable[[str], int]) -> None:
    """As nginx says it, which is believed from this machine alone."""
    text = documented(start(*BEHIND, path="/dash"))
    port = nginx(text.replace("X-Forwarded-Proto $scheme", "X-Forwarded-Proto https"))
    assert "Secure" in ask(port, f"/dash/?token={TOKEN}", NAME).headers["set-cookie"]


def test_without_the_upgrade_there_is_no_session(start: Start, nginx: Callable[[str], int]) -> None:
    """What the lines on Upgrade in the documentation are for."""
    text = re.sub(r".*(Upgrade|Connection) \$.*\n", "", documented(start(*BEHIND, path="/dash")))
    port = nginx(text)
    cookie = ask(port, f"/dash/?token={TOKEN}", f"{NAME}:{port}").cookie
    sent = {"Origin": f"http://{NAME}:{port}", "Cookie": cookie}
    assert open_socket(port, "/dash/_stcore/stream", f"{NAME}:{port}", **sent) not in (101, 403)


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["kept", "rewritten", "path taken off"])
def test_a_browser_behind_nginx(
    start: Start, nginx: Callable[[str], int], profile: Callable[..., Recorded], kind: str
) -> None:
    """Other name, other port, a path: the page is drawn, over a web socket, and a deep link opens."""
    if kind == "path taken off":
        server = start("--token", TOKEN, "--allow-host", NAME)
        port = nginx(documented(server).replace(f"127.0.0.1:{server.port};", f"127.0.0.1:{server.port}/;"))
    else:
        port = nginx(HOSTS[kind](documented(start(*BEHIND, path="/dash"))))
    address = f"http://{NAME}:{port}/dash/"
    with profile() as seen:
        seen.page.goto(f"{address}?token={TOKEN}")
        replay(seen.page)
        assert seen.page.url.startswith(address)
        assert "token" not in seen.page.url
        assert seen.sockets == [f"ws://{NAME}:{port}/dash/_stcore/stream"]
        seen.page.goto(f"{address}layers?run=planted")
        drawn(seen.page)
        assert seen.messages == []
        assert all(url.startswith((address, "data:", "blob:")) for url in seen.asked)


# ---- what a person reads when it is started


def test_the_link_that_is_printed_opens_it(tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as log, Server(tmp_path, log=log, options=["--token"]) as server:
        said = (tmp_path / "said").read_text()
        (link,) = re.findall(r"http://\S+", said)
        assert link.startswith(f"{server.address}/?token=")
        assert ask(server.port, link.removeprefix(server.address)).status == 303
        assert ask(server.port, "/").status == 401
