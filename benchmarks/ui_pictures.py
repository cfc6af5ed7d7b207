"""What a person waits for in a browser: the first picture, the drawing while it plays, a click on the map, a
live page.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from find_browser import chromium
from playwright.sync_api import Locator, Page

from benchmarks.ui_browser import Traffic, opened
from benchmarks.ui_client import Client
from benchmarks.ui_runs import THREE, WIDE, made, recorder_of, write_steps
from benchmarks.ui_server import Server
from benchmarks.ui_table import Row
from benchmarks.ui_watch import Accesses
from pages.shell.session.state import DEFAULT_PAGE, PAGES

FIRST_PICTURES = 5
PLAYED_SECONDS = 6  # of the ten that a run plays
SETTLED_MS = 1500  # after a page or a change has come, so that nothing of it is counted
CLICKS = 9
IDLE_SECONDS = 60
PLAYED_OUT_SECONDS = 15  # the replay has then played to its end and said so
FOLLOWED_SECONDS = 15
LIVE_PAGES = ("health", "", "layers", "neurons")
NOT_OF_A_RUN = ("runs", "reference")  # pages
SAID = (
    "() => [...document.querySelectorAll('p')].map(p => p.innerText).find(text => /^Neuron \\d+:\\d+ at"
    " step/.test(text)) || ''"
)
"""What the page Layers says of the cell that was clicked last."""


def replay() -> list[Row]:
    """First picture of the replay, then its data and its drawing, as it opens and with 64 ridges a layer."""
    seconds = []
    with Server(made(THREE)) as server, chromium() as browser:
        for _ in range(FIRST_PICTURES + 1):  # the first one warms the server up
            with opened(browser) as (page, _):
                seconds.append(_first_picture(page, server))
        with opened(browser) as (page, traffic):
            _first_picture(page, server)
            picture = statistics.median(seconds[1:])
            rows = [
                Row(
                    "Replay on a warm server, first picture, empty cache",
                    "<= 2.0 s",
                    f"{picture:.2f} s",
                    picture <= 2.0,
                )
            ]
            rows += _drawing(page, server, traffic)
            page.get_by_role("slider", name="Neurons per layer").press("End")
            return rows + _drawing(page, server, traffic)


def _canvas(page: Page) -> Locator:
    return page.locator("canvas[data-ridges][data-draws]")


def _first_picture(page: Page, server: Server) -> float:
    """Seconds from asking for the page until the replay has been drawn."""
    began = time.perf_counter()
    page.goto(f"{server.address}/?run={THREE.name}", wait_until="commit")
    _canvas(page).wait_for()
    return time.perf_counter() - began


def _drawing(page: Page, server: Server, traffic: Traffic) -> list[Row]:
    page.wait_for_timeout(SETTLED_MS)
    payload = traffic.payloads["neurons_replay"]
    layers, frames = payload.header["layers"], len(payload.header["steps"])
    shown = f"{len(layers)} layers x {len(layers[0]['neurons'])} ridges x {frames} frames"
    _canvas(page).focus()
    page.keyboard.press("Home")  # at rest on the first frame
    page.wait_for_timeout(SETTLED_MS)
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_timeout(SETTLED_MS)
    counted = "canvas => [Number(canvas.dataset.draws), performance.now()]"
    before, messages, size, cpu = (
        _canvas(page).evaluate(counted),
        traffic.messages,
        traffic.size,
        server.cpu(),
    )
    page.wait_for_timeout(1e3 * PLAYED_SECONDS)
    after, cpu = _canvas(page).evaluate(counted), server.cpu() - cpu
    messages, size = traffic.messages - messages, traffic.size - size
    rate = 1e3 * (after[0] - before[0]) / (after[1] - before[1])
    return [
        Row(f"– its data, {shown}", "<= 350 KB", f"{payload.size / 1e3:.0f} KB", payload.size <= 350e3),
        Row(f"drawing while it plays, {shown}", ">= 59 draws/s", f"{rate:.0f} draws/s", rate >= 59),
        Row(
            f"– messages to and from the server in {PLAYED_SECONDS} s of it", "none",
            f"{messages} ({size} bytes; CPU of the server {1e3 * cpu / PLAYED_SECONDS:.0f} ms/s)",
            messages == 0,
        ),
    ]  # fmt: skip


def heatmap() -> list[Row]:
    """Bytes of the map of 1,024 neurons x 1,000 steps and of every page of that run; a click on the map."""
    with Server(made(WIDE)) as server:
        sizes = {}
        for path, title, _ in PAGES:
            if path in NOT_OF_A_RUN:
                continue
            with Client(server, "" if path == DEFAULT_PAGE else path, run=WIDE.name) as client:
                sizes[title] = client.open().size / 1e6
        with chromium() as browser, opened(browser) as (page, traffic):
            page.goto(f"{server.address}/layers?run={WIDE.name}")
            image = page.locator("canvas[data-image]")
            image.scroll_into_view_if_needed()
            page.wait_for_timeout(SETTLED_MS)
            waited = [_click(page, image, place) for place in range(CLICKS)]
            payload = traffic.payloads["neurons_heatmap"]
    cells, columns = f"{payload.header['rows']:,} x {payload.header['columns']:,}", payload.header["columns"]
    most = max(sizes, key=lambda title: sizes[title])
    click = statistics.median(waited)
    run = f"{WIDE.neurons[0]:,} neurons x {WIDE.steps:,} steps"
    return [
        Row(f"map of {run}: its data", "<= 1.1 MB", f"{payload.size / 1e6:.2f} MB", payload.size <= 1.1e6),
        Row("– cells drawn", "one a step", cells, columns == WIDE.steps),
        Row(
            "– all messages of a page of that run",
            "<= 1.1 MB",
            f"{sizes[most]:.2f} MB at most ({most})",
            sizes[most] <= 1.1,
        ),
        Row(
            "– from a click to the exact number",
            "<= 0.5 s",
            f"{click:.2f} s (slowest {max(waited):.2f} s)",
            click <= 0.5,
        ),
    ]


def _click(page: Page, image: Locator, place: int) -> float:
    """Seconds from a click on the map until the page names that neuron."""
    before = page.evaluate(SAID)
    image.scroll_into_view_if_needed()
    box = image.bounding_box()
    assert box is not None
    share = (place + 1) / (CLICKS + 1)
    began = time.perf_counter()
    page.mouse.click(box["x"] + box["width"] * (0.1 + 0.7 * share), box["y"] + box["height"] * 0.8 * share)
    page.wait_for_function(
        f"before => {{ const said = ({SAID})(); return said && said !== before }}", arg=before
    )
    waited = time.perf_counter() - began
    page.wait_for_timeout(SETTLED_MS / 3)
    return waited


def live() -> list[Row]:
    """Pages of a run that is being written, while its recorder has nothing to write; then whether they follow
    it.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-ui-") as name, ExitStack() as stack:
        path = Path(name) / "live"
        recorder = stack.enter_context(recorder_of(path, THREE))
        half = THREE.steps // 2
        write_steps(recorder, THREE, 0, half)
        recorder.flush()
        server, browser = stack.enter_context(Server(Path(name))), stack.enter_context(chromium())
        pages = [stack.enter_context(opened(browser)) for _ in LIVE_PAGES]
        for (page, _), where in zip(pages, LIVE_PAGES, strict=True):
            page.goto(f"{server.address}/{where}?run=live")
        pages[0][0].wait_for_timeout(1e3 * PLAYED_OUT_SECONDS)
        accesses = stack.enter_context(Accesses(path))
        before, read = [traffic.size for _, traffic in pages], server.bytes_read()
        pages[0][0].wait_for_timeout(1e3 * IDLE_SECONDS)
        read, names = server.bytes_read() - read, accesses.names()
        rates = {title or "replay": (traffic.size - size) / IDLE_SECONDS
                 for title, (_, traffic), size in zip(LIVE_PAGES, pages, before, strict=True)}  # fmt: skip
        write_steps(recorder, THREE, half, half + half // 5)
        recorder.flush()
        before = [traffic.size for _, traffic in pages]
        pages[0][0].wait_for_timeout(1e3 * FOLLOWED_SECONDS)
        grown = [
            traffic.size - size > IDLE_SECONDS * 1e3 for (_, traffic), size in zip(pages, before, strict=True)
        ]
    old = [one for one in names if one.endswith(".parquet")]
    most = max(rates, key=lambda title: rates[title])
    return [
        Row(
            f"live page, idle for {IDLE_SECONDS} s, messages both ways, busiest of {len(pages)} pages",
            "<= 1 KB/s",
            f"{rates[most]:.0f} bytes/s ({most})", rates[most] <= 1e3,
        ),
        Row(
            "– Parquet files opened or read meanwhile", "none",
            f"{len(old)} ({read / IDLE_SECONDS:.0f} bytes/s read, of {', '.join(sorted(names)) or 'none'})",
            not old,
        ),
        Row(
            f"– pages drawn anew within {FOLLOWED_SECONDS} s of a fifth more steps", "all",
            f"{sum(grown)} of {len(grown)}", all(grown),
        ),
    ]  # fmt: skip
