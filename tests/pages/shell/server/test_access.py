"""When a server may start, what the options come to, and what is printed."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.middleware import Middleware
from streamlit import config
from streamlit.runtime.secrets import secrets_singleton

from pages.shell.server import access
from pages.shell.server.host_policy import HostPolicy
from pages.shell.server.token_gate import TokenGate

CONFIGURED = (
    "server.address", "server.port", "server.allowedHosts", "server.baseUrlPath", "server.sslCertFile",
    "secrets.files",
)  # fmt: skip
LONG = "0123456789abcdef"
Configure = Callable[..., dict[type, dict[str, Any]]]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """The middleware's settings by its class, of a server that listens on `address` with these options."""
    monkeypatch.delenv(access.TOKEN_VARIABLE, raising=False)
    before = {name: config.get_option(name) for name in CONFIGURED}

    connected: list[Callable[[], None]] = []

    def connect(put: Callable[[], None], force_connect: bool) -> None:
        connected.append(connected_before(put, force_connect))

    connected_before = config.on_config_parsed

    def run(address: str | None, *arguments: str, **options: Any) -> dict[type, dict[str, Any]]:
        config.set_option("server.address", address)
        config.set_option("server.port", 8501)
        config.set_option("server.allowedHosts", ["localhost", "127.0.0.1"])
        config.set_option("secrets.files", [])
        monkeypatch.setattr(config, "on_config_parsed", connect)
        for name, value in options.items():
            config.set_option(name.replace("_", "."), value)
        passed: list[Middleware] = access.configure(list(arguments))
        return {item.cls: dict(item.kwargs) for item in passed}  # type: ignore[misc]

    yield run
    for disconnect in connected:
        disconnect()
    for name, value in before.items():
        config.set_option(name, value)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("", False), ("10.0.0.5", False), ("fe80::1", False),
        ("localhost.attacker.example", False), ("gpu7", False), ("unix:///tmp/x", False),
    ],
)  # fmt: skip
def test_what_other_machines_reach(address: str, loopback: bool) -> None:
    assert access.is_loopback(address) == loopback


@pytest.mark.parametrize("address", ["0.0.0.0", "::", None, "10.0.0.5", "gpu7"])
def test_a_server_for_other_machines_says_whom_it_answers(
    configure: Configure, capsys: pytest.CaptureFixture[str], address: str | None
) -> None:
    for more in ([], ["--read-only"], ["--allow-host", "*"]):
        with pytest.raises(SystemExit) as error:
            configure(address, *more)
        assert error.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1
        assert "--token" in said.err
        assert "--unauthenticated" in said.err
    assert TokenGate in configure(address, "--token", LONG)
    assert TokenGate not in configure(address, "--unauthenticated")


def test_on_the_loopback_address_a_token_is_a_choice(configure: Configure) -> None:
    assert set(configure("127.0.0.1")) == {HostPolicy}
    assert list(configure("127.0.0.1", "--token")) == [
        HostPolicy,
        TokenGate,
    ]  # names first: no form elsewhere


def test_a_token_comes_from_the_line_or_the_environment_and_an_empty_one_is_none(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert configure("0.0.0.0", "--token", LONG)[TokenGate]["token"] == LONG
    monkeypatch.setenv(access.TOKEN_VARIABLE, "from the environment")
    assert configure("0.0.0.0")[TokenGate]["token"] == "from the environment"
    assert configure("0.0.0.0", "--token")[TokenGate]["token"] == "from the environment"
    assert configure("0.0.0.0", "--token", LONG)[TokenGate]["token"] == LONG
    with pytest.raises(SystemExit):
        configure("0.0.0.0", "--unauthenticated")
    assert access.TOKEN_VARIABLE in capsys.readouterr().err
    monkeypatch.setenv(access.TOKEN_VARIABLE, "")
    with pytest.raises(SystemExit):
        configure("0.0.0.0")


def test_a_token_that_is_made_is_long_new_and_in_the_link(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {configure("127.0.0.1", *given)[TokenGate]["token"] for given in (["--token"], ["--token", ""])}
    assert len(made) == 2
    assert all(len(token) == 43 for token in made)  # 256 bits in base64
    links = re.findall(r"http://127\.0\.0\.1:8501/\?token=(\S+)", capsys.readouterr().out)
    assert set(links) == made


def test_a_token_that_was_given_is_not_printed(
    configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("127.0.0.1", "--token", LONG)
    said = capsys.readouterr()
    assert LONG not in said.out + said.err
    assert said.err == ""
    configure("127.0.0.1", "--token", "short")
    said = capsys.readouterr()
    assert "5 characters can be guessed" in said.err
    assert "short" not in said.out + said.err


def test_everybody_is_warned_of(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure("0.0.0.0", "--unauthenticated")
    assert "starts experiments" in capsys.readouterr().err
    configure("0.0.0.0", "--unauthenticated", "--read-only")
    said = capsys.readouterr().err
    assert "reads every run" in said
    assert "starts experiments" not in said
    configure("127.0.0.1", "--unauthenticated")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("address", "arguments", "options", "link"),
    [
        ("127.0.0.1", [], {}, "http://127.0.0.1:8501/"),
        ("::1", ["--base-path", "/dash/"], {}, "http://[::1]:8501/dash/"),
        ("10.0.0.5", [], {}, "http://10.0.0.5:8501/"),
        ("0.0.0.0", [], {}, f"http://{socket.gethostname().lower()}:8501/"),
        ("0.0.0.0", ["--allow-host", "*", "*.x.example", "Dash.example"], {}, "http://dash.example:8501/"),
        ("127.0.0.1", ["--allow-host", "dash.example"], {}, "http://127.0.0.1:8501/"),
        ("localhost", [], {"server_sslCertFile": "cert.pem"}, "https://localhost:8501/"),
    ],
)
def test_the_link(
    configure: Configure, capsys: pytest.CaptureFixture[str], address: str, arguments: list[str],
    options: dict[str, Any], link: str,
) -> None:  # fmt: skip
    config.set_option("server.baseUrlPath", "")
    configure(address, *([] if access.is_loopback(address) else ["--unauthenticated"]), *arguments, **options)
    assert capsys.readouterr().out.split() == ["Dashboard:", link]


def test_names_are_those_of_the_settings_its_own_and_those_that_were_given(configure: Configure) -> None:
    configure("10.0.0.5", "--token", LONG, "--allow-host", "Dash.example", "*.x.example", "localhost")
    assert config.get_option("server.allowedHosts") == [
        "localhost", "127.0.0.1", "10.0.0.5", "dash.example", "*.x.example",
    ]  # fmt: skip
    configure("0.0.0.0", "--token", LONG)
    assert config.get_option("server.allowedHosts")[2:] == [socket.gethostname().lower()]
    # an empty list is every name to Streamlit; here `*` says that
    configure("127.0.0.1", server_allowedHosts=[])
    assert config.get_option("server.allowedHosts") == list(access.LOOPBACK)
    configure("127.0.0.1", server_allowedHosts=["*"])
    assert config.get_option("server.allowedHosts") == ["*"]


def test_options_reach_the_policy_and_the_cookie(configure: Configure) -> None:
    config.set_option("server.baseUrlPath", "")
    passed = configure(
        "127.0.0.1", "--token", LONG, "--frame-ancestors", "self", "https://hub.example", "--connect-src",
        "https://api.example", "--allow-host", "dash.example",
    )  # fmt: skip
    policy = passed[HostPolicy]["added"]["content-security-policy"]
    assert "frame-ancestors 'self' https://hub.example" in policy
    assert "wss://dash.example:* https://api.example;" in policy
    assert passed[TokenGate]["cookie_path"] == "/"
    assert configure("127.0.0.1", "--token", LONG, "--base-path", "x/")[TokenGate]["cookie_path"] == "/x"
    assert config.get_option("server.baseUrlPath") == "/x"
    # Streamlit's own option says the same
    assert configure("127.0.0.1", "--token", LONG, server_baseUrlPath="y")[TokenGate]["cookie_path"] == "/y"


def test_secrets_that_cannot_be_read_end_it(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They may say that people have to log in."""
    secrets_singleton._reset()
    file = tmp_path / "secrets.toml"
    file.write_text("[auth")
    with pytest.raises(SystemExit):
        configure("127.0.0.1", secrets_files=[str(file)])
    assert str(file) in capsys.readouterr().err
    file.write_text('[auth]\nclient_id = "x"\n')
    configure("0.0.0.0", "--unauthenticated", secrets_files=[str(file), str(tmp_path / "absent.toml")])
    assert capsys.readouterr().err == ""  # not everybody: whoever logs in
    secrets_singleton._reset()


def test_what_was_given_outlasts_settings_that_are_read_anew(configure: Configure) -> None:
    """Streamlit watches its files, the home directory's too, and reads all of them when one is edited."""
    configure("127.0.0.1", "--allow-host", "dash.example", "--base-path", "/dash")
    config.get_config_options(force_reparse=True)
    assert config.get_option("server.allowedHosts") == ["localhost", "127.0.0.1", "dash.example"]
    assert config.get_option("server.baseUrlPath") == "/dash"
