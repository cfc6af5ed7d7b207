"""Under which names the server answers, whom, and what it lets browsers do: one function puts the options of
the command line into effect.

The contract, for `streamlit run app.py [Streamlit's options] -- [options]` and for any command that starts
it so:

===========================  ==========================================================================
`--token [TOKEN]`            answer only whoever brings this secret; without a value a new one is made
                             and its link is printed. The environment variable PROBES_TOKEN says the
                             same and is not seen in a list of processes; the option wins. An empty
                             one counts as none
`--unauthenticated`          answer everybody
`--allow-host NAME ...`      names under which the server is asked beside `server.allowedHosts`, by
                             Streamlit's rule: upper or lower case, no port, `*.example.org` for what
                             lies below, `*` for all. May come several times
`--frame-ancestors SRC ...`  pages that may show the dashboard in a frame, as CSP writes them; `self` too
`--connect-src SRC ...`      what the pages may connect to beside the server and the names above
`--base-path /x`             the server answers under this path (`server.baseUrlPath`)
`--read-only`                no page writes, deletes or starts anything (`options.require_writable`)
===========================  ==========================================================================

Address and port are Streamlit's: `--server.address`, `--server.port`. On an address that is not loopback,
one of `--token`, PROBES_TOKEN and `--unauthenticated` is needed; without, or with a wrong option, the
process writes one line to stderr and exits with status 2 before anything is answered. The name that the
server goes by itself (the address that it listens on, the machine's name if it listens on all) is allowed
without being given. Where `[auth]` stands in Streamlit's secrets, every session has to log in there too
(`pages.shell.frame`); secrets that cannot be read end the process.

The link is printed to stdout, with a token that was made here, never with one that was given: whoever gave
it knows it. Streamlit's own greeting is off (`logger.hideWelcomeMessage` in .streamlit/config.toml), because
it asks an outside host for this machine's address.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import sys
from typing import NoReturn

from starlette.middleware import Middleware
from streamlit import config
from streamlit.auth_util import get_secrets_auth_section
from streamlit.runtime.secrets import secrets_singleton
from streamlit.url_util import make_url_path

from pages.shell.server.host_policy import HostPolicy, headers
from pages.shell.server.token_gate import KEY, TokenGate
from pages.shell.session import options
from probes.ui import TOKEN_VARIABLE

LOOPBACK = ("localhost", "127.0.0.1", "::1")
GUESSABLE = 16  # characters; shorter tokens are used, with a warning
_EVERYWHERE = ("", "0.0.0.0", "::")


def configure(arguments: list[str]) -> list[Middleware]:
    """Put the options into effect, print the dashboard's link, and return what each request passes first.

    It changes Streamlit's configuration, so it comes before the server is built. Raises SystemExit with
    status 2 for a wrong command line and for a server that everybody could reach, without saying so.
    """
    chosen = options.parse(arguments)
    files = [file for file in config.get_option("secrets.files") if os.path.exists(file)]
    if files and not secrets_singleton.load_if_toml_exists():
        _refuse(f"{', '.join(files)} cannot be read as TOML, so who has to log in is not known: correct it")
    address = str(config.get_option("server.address") or "")
    given = chosen.token or os.environ.get(TOKEN_VARIABLE, "")
    if given and chosen.unauthenticated:
        _refuse(f"{TOKEN_VARIABLE} is set, so --unauthenticated contradicts it: unset one of them")
    if not (chosen.token is not None or given or chosen.unauthenticated or is_loopback(address)):
        _refuse(
            f"{address or 'a server on all addresses'} can be reached from other machines: start with --token"
            f" (a link with a secret; {TOKEN_VARIABLE} in the environment does the same), or with"
            " --unauthenticated if something else decides who gets here, or listen on 127.0.0.1"
        )
    if given and len(given) < GUESSABLE:
        _warn(f"a token of {len(given)} characters can be guessed: --token without a value makes a good one")
    if chosen.unauthenticated and not is_loopback(address) and not get_secrets_auth_section():
        may = "reads every run" if chosen.read_only else "reads every run, writes notes, starts experiments"
        _warn(f"no token: whoever reaches {address or 'this machine'} {may}")
    token = given or (secrets.token_urlsafe(32) if chosen.token is not None else "")

    own = [] if is_loopback(address) else [_own_name(address)]
    named = [*(config.get_option("server.allowedHosts") or LOOPBACK), *own, *chosen.allow_host]
    hosts = list(dict.fromkeys(name.strip() for name in named))

    def put() -> None:
        config.set_option("server.allowedHosts", hosts)
        if chosen.base_path:
            config.set_option("server.baseUrlPath", chosen.base_path)

    put()
    config.on_config_parsed(put, force_connect=True)  # a server reads its files anew when one is edited

    shown = next((name for name in chosen.allow_host if "*" not in name), None) if own else None
    query = f"?{KEY}={'…' if given else token}" if token else ""
    print(f"\n  Dashboard: {_link(shown or _own_name(address))}{query}\n", flush=True)

    added = headers(hosts, chosen.frame_ancestors, chosen.connect_src)
    passed = [Middleware(HostPolicy, added=added)]
    if token:
        path = make_url_path(config.get_option("server.baseUrlPath"), "").rstrip("/") or "/"
        passed.append(Middleware(TokenGate, token=token, cookie_path=path))
    return passed


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost counts as reachable."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _own_name(address: str) -> str:
    """How the server is called by whoever reaches it: its address, or the machine's name if it has all."""
    return socket.gethostname().lower() if address in _EVERYWHERE else address


def _link(name: str) -> str:
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    host = f"[{name}]" if ":" in name else name
    path = make_url_path(config.get_option("server.baseUrlPath"), "").rstrip("/")
    return f"{scheme}://{host}:{config.get_option('server.port')}{path}/"


def _warn(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _refuse(text: str) -> NoReturn:
    _warn(text)
    raise SystemExit(2)
