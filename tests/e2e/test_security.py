"""What the server refuses, request by request, and hostile texts of a log in a real browser: shown as text on
every page.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlparse

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from driving import ROOT, WAIT_MS, new_profile
from playwright.sync_api import Browser, Page, expect
from serving import Server

from pages.shell.server.host_policy import REFUSED, headers
from pages.shell.session.state import PAGES
from probes import notes
from probes.experiments import store
from probes.export import export

SETTLED_MS = 300  # plotly lays a figure out once more when it is seen, and complains of a hover meanwhile
MEGABYTE = 2**20
FOREIGN = ("attacker.example", "127.0.0.1.attacker.example", "localhost@attacker.example", "[::2]", "")
EVIL = (
    '<img src=x onerror="window.__pwned=1"><script>window.__pwned=1</script><b id=pwned>b</b>'
    '<a href="javascript:window.__pwned=1">a</a>[m](javascript:window.__pwned=1) '
    "![i](http://attacker.example/i.png) www.attacker.example me@attacker.example $x$ :red[r] %{y}"
)
EVIL_NAME = "<img src=x onerror=window.__pwned=1>'\"& **b** $x$ 🧠"  # a folder's name has no slash
INJECTED = """() => {
  const found = [], roots = [document]
  while (roots.length) {
    const root = roots.pop()
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot) roots.push(element.shadowRoot)
      const link = element.getAttribute('href') || element.getAttribute('xlink:href')
        || element.getAttribute('src') || ''
      if (element.id === 'pwned' || link === 'x' || /^javascript|^mailto|attacker/.test(link)
          || element.hasAttribute('onerror')) found.push(element.outerHTML.slice(0, 200))
    }
  }
  return window.__pwned === undefined ? found : ['it ran', ...found]
}"""


# ---- requests


def ask(
    address: str, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers (names in lower case) of one request, its path as it is."""
    place = urlparse(address)
    connection = http.client.HTTPConnection(place.netloc, timeout=30)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", headers.pop("host", place.netloc))
    for name, value in headers.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    connection.close()
    return found


def test_no_request_is_answered_under_a_foreign_name(serve: Callable[..., str]) -> None:
    """A page elsewhere whose name was made to point here (DNS rebinding) reads nothing."""
    address = serve()
    for host in FOREIGN:
        for path in (
            "/",
            "/runs",
            "/_stcore/metrics",
            "/_stcore/host-config",
            "/media/x.csv",
        ):
            status, body, _ = ask(address, path, host=host)
            assert (status, body) == (403, REFUSED.encode()), (host, path)
        # what asks whether it runs knows its address, not its name
        assert ask(address, "/_stcore/health", host=host)[:2] == (200, b"ok"), host
    port = urlparse(address).port
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"127.0.0.1:{port}", "[::1]", "localhost"):
        assert ask(address, "/_stcore/host-config", host=host)[0] == 200


def test_another_origin_reads_nothing(serve: Callable[..., str]) -> None:
    """Its script may send a request, but the browser does not hand it the answer without this header."""
    address = serve()
    for path in ("/", "/_stcore/health", "/_stcore/metrics"):
        _, _, headers = ask(address, path, Origin="http://attacker.example")
        assert "access-control-allow-origin" not in headers


def test_it_listens_on_the_loopback_address_alone(serve: Callable[..., str]) -> None:
    port = urlparse(serve()).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_nothing_can_be_uploaded(serve: Callable[..., str]) -> None:
    """No page takes files: without the token of a session, with one, small or above the limit."""
    address = serve()
    for size in (10, 2 * MEGABYTE):
        assert ask(address, "/_stcore/upload_file/session/file", "PUT", b"x" * size)[0] == 403
    assert ask(address, "/_stcore/upload_file/session/file", "DELETE")[0] == 403
    cookie = ask(address, "/_stcore/health")[2]["set-cookie"].split(";")[0]
    sent = {"Cookie": cookie, "X-Xsrftoken": cookie.split("=", 1)[1]}
    status, _, _ = ask(address, "/_stcore/upload_file/session/file", "PUT", b"x" * 2 * MEGABYTE, **sent)
    assert status >= 400


def test_no_path_leads_to_a_file(serve: Callable[..., str]) -> None:
    """Neither outside of the server nor beside it; what is no path of its own is its page."""
    address = serve()
    page = ask(address, "/")[1]
    climbing = (
        "/../../etc/passwd",
        "/static/../../../../etc/passwd",
        "/media/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
    )
    beside = (
        "/app.py",
        "/.streamlit/config.toml",
        "/runs/planted/run.json",
        "/app/static/app.py",
        "/static/app.py",
    )
    for path in (
        *climbing,
        "/%2e%2e/%2e%2e/etc/passwd",
        "/_stcore/bidi-components/../../etc/passwd",
        *beside,
    ):
        status, body, _ = ask(address, path)
        assert status >= 400 or body == page, path
        assert b"root:" not in body


def test_every_answer_carries_the_policy(serve: Callable[..., str]) -> None:
    address = serve()
    expected = headers(["localhost", "127.0.0.1"])
    for path in ("/", "/runs", "/_stcore/health"):
        found = ask(address, path)[2]
        assert {name: found.get(name) for name in expected} == expected
    assert "frame-ancestors 'none'" in expected["content-security-policy"]
    script = re.search("script-src ([^;]*)", expected["content-security-policy"])
    assert script is not None
    assert "unsafe-inline" not in script[1]


# ---- in the browser

pytestmark = pytest.mark.browser


def rewrite(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Another table under the same name, with as many rows."""
    schema = pq.read_schema(path)
    frame = change(pd.read_parquet(path))
    pq.write_table(pa.Table.from_pandas(frame, schema.remove_metadata(), preserve_index=False), path)


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a hostile text in every place that takes a text, beside a sound one."""
    folder = tmp_path_factory.mktemp("evil")
    shutil.copytree(ROOT / "sample_runs" / "collapsed", folder / "sound")
    run = folder / EVIL_NAME
    shutil.copytree(ROOT / "sample_runs" / "collapsed", run)
    content = json.loads((run / "run.json").read_text())
    content |= {"name": EVIL, "group": EVIL, "packages": {EVIL: EVIL}, "seed": EVIL}
    for place, layer in enumerate(content["layers"]):
        layer |= {
            "name": f"{EVIL}{place}",
            "prior": EVIL,
            "of": EVIL,
            "adapter": EVIL,
            "why": EVIL,
            EVIL: EVIL,
        }
    content["config"] |= {"data": EVIL, "columns": [EVIL], EVIL: EVIL, "nested": {EVIL: [EVIL]}}
    content["scores"] |= {EVIL: {"step": 1, "value": 1.0}}
    content["sparklines"] |= {EVIL: [[0, 1.0], [1, 2.0]]}
    (run / "run.json").write_text(json.dumps(content))
    notes.write(run, [EVIL[:30], "<b id=pwned>tag</b>"], EVIL)
    (scalars,) = (run / "scalars").iterdir()
    rewrite(scalars, lambda frame: frame.assign(name=frame["name"].where(frame.index % 7 != 3, EVIL)))
    rewrite(scalars, lambda frame: frame.assign(split=frame["split"].where(frame.index % 11 != 3, EVIL)))
    (run / "events").mkdir(exist_ok=True)
    events = {
        "step": [1, 40, 60],
        "layer": [0, None, 1],
        "kind": ["projection", EVIL, "beta"],
        "neuron": [1, None, None],
    }
    frame = pd.DataFrame(events | {"value": [1.5, None, 0.1], "text": [EVIL] * 3})
    for old in (run / "events").iterdir():
        old.unlink()
    types = [("step", pa.int64()), ("layer", pa.int16()), ("kind", pa.string()), ("neuron", pa.int32())]
    schema = pa.schema([*types, ("value", pa.float64()), ("text", pa.string())])
    pq.write_table(
        pa.Table.from_pandas(frame, schema, preserve_index=False),
        run / "events" / "000000000000-000000000002.parquet",
    )
    store.save(
        run,
        "ablation",
        ablation(),
        {"experiment": "ablation", "split": EVIL, "finished": EVIL, "features": [EVIL]},
    )
    store.save(run, "other", {"table": pd.DataFrame({EVIL: [EVIL]})}, {"experiment": EVIL, EVIL: EVIL})
    (run / "experiments" / "shift").mkdir()
    failed = {"status": "failed", "done": 1, "total": 2, "message": EVIL, "pid": 1, "time": 0}
    (run / "experiments" / "shift" / "progress.json").write_text(json.dumps(failed))
    return folder


@pytest.fixture(scope="module")
def evil_address(evil: Path) -> Iterator[str]:
    with Server(evil) as server:
        yield server.address


def ablation() -> dict[str, pd.DataFrame]:
    keys = pd.DataFrame({"layer": [0, 0, 1, 1, 2, 2], "neuron": [0, 1, 0, 1, 0, 1]})
    effects = keys.assign(mode=EVIL, score=EVIL, effect=[0.1, 0.2, 0.3, 0.1, 0.2, 0.5], standard_error=0.1)
    neurons = keys.assign(kl=[1.0, 2, 3, 4, 5, 6], information=0.1, spread=0.2, contraction=0.5, regime=0)
    ranks = pd.DataFrame(
        {
            "mode": EVIL,
            "score": EVIL,
            "layer": [-1, 0, 1],
            "predictor": EVIL,
            "value": 0.5,
            "low": 0.1,
            "high": 0.9,
        }
    )
    reliability = pd.DataFrame({"mode": EVIL, "score": EVIL, "layer": [0, 1], "reliability": [0.9, 0.1]})
    return {
        "effects": effects,
        "neurons": neurons,
        "predictors": ranks.assign(neurons=2),
        "reliability": reliability,
    }


RUN = """() => {
  const app = document.querySelector('[data-testid=stApp]')
  return app && app.dataset.testScriptState === 'notRunning' && document.querySelector('h2')
}"""


def settled(page: Page) -> None:
    """Wait until the server has run the page, whatever figures it has."""
    page.wait_for_function(RUN, timeout=WAIT_MS)
    page.wait_for_timeout(SETTLED_MS)


def troubles(page: Page) -> list[str]:
    """Collects what the browser complains about. Streamlit asks for its health under a page's own path first,
    and gets a 404.
    """
    found: list[str] = []

    def note(message: Any) -> None:
        if message.type in ("error", "warning") and "/_stcore/" not in message.location.get("url", ""):
            found.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def test_hostile_texts_of_a_log_are_shown_as_text_on_every_page(page: Page, evil_address: str) -> None:
    found = troubles(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    address = evil_address
    name = quote(EVIL_NAME, safe="")
    for path, title, _ in PAGES:
        page.goto(
            f"{address}/{'' if path == 'replay' else path}?run={name}"
            f"&pin={quote(name, safe='')}:0:1,{quote(name, safe='')}:1:0"
        )
        page.locator("h2", has_text=title).first.wait_for()
        settled(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        for place in page.locator("canvas, .js-plotly-plot").all()[:6]:
            box = place.bounding_box()
            if box and box["height"] > 40:
                place.hover(force=True)
                page.wait_for_timeout(SETTLED_MS)
        assert page.evaluate(INJECTED) == [], path
        if path not in ("runs", "reference"):
            assert EVIL_NAME in page.locator("h2").first.inner_text()
    assert found == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_hostile_values_in_the_address_are_shown_as_text(page: Page, evil_address: str) -> None:
    found = troubles(page)
    address = evil_address
    bad = quote(EVIL, safe="")
    keys = (
        "vs",
        "layer",
        "neurons",
        "step",
        "from",
        "to",
        "statistic",
        "axis",
        "scale",
        "pin",
        "input",
        "experiment",
        "find",
    )
    for path in ("health", "layers", "neurons", "experiments", "runs"):
        page.goto(f"{address}/{path}?run=sound&" + "&".join(f"{key}={bad}" for key in keys))
        settled(page)
        expect(page.get_by_test_id("stException")).to_have_count(0)
        assert page.evaluate(INJECTED) == [], path
    page.goto(f"{address}/health?run=..%2F..%2F..%2Fetc")
    page.get_by_text("which is in no folder of runs").wait_for()
    assert found == []


def test_hostile_texts_in_a_report_are_text(browser: Browser, evil: Path, tmp_path: Path) -> None:
    (file,) = export(evil / EVIL_NAME, html=tmp_path / "report.html")
    context = new_profile(browser)
    page = context.new_page()
    found = troubles(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.locator("canvas[data-ridges][data-draws]").wait_for()
    assert page.evaluate(INJECTED) == []
    assert "<b id=pwned>" in page.locator("body").inner_text()
    context.close()
    assert found == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_an_error_shows_its_kind_and_no_more(page: Page, tmp_path: Path) -> None:
    """With the dashboard's settings, which a script elsewhere has too when it is started from here."""
    script = tmp_path / "failing.py"
    script.write_text(
        'import streamlit as st\nst.markdown("## Here")\nraise KeyError("a secret of the server")\n'
    )
    with Server(tmp_path, script=script) as server:
        page.goto(server.address)
        error = page.get_by_test_id("stException")
        error.wait_for()
        assert "KeyError" in error.inner_text()
        assert "secret" not in page.content()
        assert "failing.py" not in page.content()
