"""A store of this process that fails as it is told: what no real server does on request.

It speaks so much of S3 as `obstore` asks for, and looks at no signature.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Fault = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request. key: of the object, "" of a bucket. method, query, body: of what was asked."""

    protocol_version = "HTTP/1.1"
    server: FaultyStore

    def log_message(self, *_: Any) -> None:
        return None

    def do(self) -> None:
        parts = urlsplit(self.path)
        self.method = self.command
        self.bucket, _, key = parts.path.lstrip("/").partition("/")
        self.key = unquote(key)
        asked = parse_qs(parts.query, keep_blank_values=True)
        self.query = {name: values[0] for name, values in asked.items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.method, self.key))
        self.answered = False
        if self.server.fault is not None:
            self.server.fault(self)
        if not self.answered:
            self.server.answer(self)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do

    def say(self, status: int, content: bytes = b"", cut: int | None = None, **headers: str) -> None:
        """Answer. cut: so much of the content is sent before the connection ends."""
        self.answered = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.method != "HEAD":
            self.wfile.write(content if cut is None else content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True

    def refuse(self, status: int, code: str, message: str = "planted") -> None:
        """Answer with an error as S3 words it."""
        self.say(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())

    def hang_up(self) -> None:
        """End the connection without an answer."""
        self.answered = True
        self.close_connection = True


class FaultyStore(ThreadingHTTPServer):
    """The server: any bucket, objects by (bucket, key).

    fault: is given each request before it is answered, and may answer it. tag: what an etag looks like in a
    listing and elsewhere, of a digest. asked: methods and keys.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.objects: dict[tuple[str, str], bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.digests: dict[bytes, str] = {}  # of contents that were put in parts
        self.fault: Fault | None = None
        self.asked: list[tuple[str, str]] = []
        self.tag_listed = self.tag = '"{}"'.format
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def count(self, method: str, key: str = "") -> int:
        """So many requests of a method whose key has this in it."""
        return sum(one == method and key in name for one, name in self.asked)

    def digest(self, content: bytes) -> str:
        """What the etag of an object is made of."""
        return self.digests.get(content) or _digest(content)

    def answer(self, request: Request) -> None:
        """As a store does that has no fault."""
        with self._lock:
            getattr(self, f"_{request.method.lower()}")(request)

    def _get(self, request: Request) -> None:
        if not request.key:
            request.say(200, self._listing(request))
            return
        content = self.objects.get((request.bucket, request.key))
        if content is None:
            request.refuse(404, "NoSuchKey")
            return
        tag = self.tag(self.digest(content))
        if (wanted := request.headers.get("If-Match")) and wanted != tag.removeprefix("W/"):
            request.refuse(412, "PreconditionFailed")
            return
        headers = {"ETag": tag, "Last_Modified": _WHEN}
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range") or ""):
            start, stop = int(found[1]), min(int(found[2]) + 1, len(content))
            where = f"bytes {start}-{stop - 1}/{len(content)}"
            request.say(206, content[start:stop], Content_Range=where, **headers)
        else:
            request.say(200, content, **headers)

    _head = _get

    def _put(self, request: Request) -> None:
        place = request.bucket, request.key
        if upload := request.query.get("uploadId"):
            self.parts[upload][int(request.query["partNumber"])] = request.body
            request.say(200, ETag=f'"{_digest(request.body)}"')
        elif request.headers.get("If-None-Match") and place in self.objects:
            request.refuse(412, "PreconditionFailed")
        else:
            self.objects[place] = request.body
            self.digests.pop(request.body, None)
            request.say(200, ETag=self.tag(_digest(request.body)))

    def _post(self, request: Request) -> None:
        if upload := request.query.get("uploadId"):
            parts = [part for _, part in sorted(self.parts.pop(upload).items())]
            self.objects[request.bucket, request.key] = content = b"".join(parts)
            digests = b"".join(bytes.fromhex(_digest(part)) for part in parts)
            self.digests[content] = f"{_digest(digests)}-{len(parts)}"
            told = escape(self.tag(self.digest(content)))
            request.say(200, _xml("CompleteMultipartUploadResult", f"<ETag>{told}</ETag>"))
        elif "uploads" in request.query:
            upload = str(len(self.asked))
            self.parts[upload] = {}
            request.say(200, _xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>"))
        else:
            for key in re.findall(rb"<Key>([^<]*)</Key>", request.body):
                self.objects.pop((request.bucket, key.decode()), None)
            request.say(200, b"<DeleteResult><Deleted><Key>it</Key></Deleted></DeleteResult>")

    def _delete(self, request: Request) -> None:
        if upload := request.query.get("uploadId"):
            self.parts.pop(upload, None)
        else:
            self.objects.pop((request.bucket, request.key), None)
        request.say(204)

    def _listing(self, request: Request) -> bytes:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter")
        told, folders = [], set()
        for (bucket, key), content in sorted(self.objects.items()):
            if bucket != request.bucket or not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            tag = escape(self.tag_listed(self.digest(content)))
            told.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-27T10:00:00.000Z</LastModified>"
                f"<ETag>{tag}</ETag><Size>{len(content)}</Size></Contents>"
            )
        for one in sorted(folders):
            told.append(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>")
        return _xml("ListBucketResult", f"<IsTruncated>false</IsTruncated>{''.join(told)}")


_WHEN = "Fri, 27 Nov 2026 10:00:00 GMT"


def _xml(name: str, content: str) -> bytes:
    return f"<{name}>{content}</{name}>".encode()


def _digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
