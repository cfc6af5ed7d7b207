"""What every storage promises, of a real object store; what it says when something is in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_storage import (
    FILES,
    test_a_put_that_fails_changes_nothing,
    test_reading,
    test_what_is_not_there_or_too_large,
    test_writing,
)

import probes
from benchmarks.store_server import SECRET, Proxy
from probes.__main__ import main
from probes.errors import RunError, WriteError
from probes.storage import Storage, is_store, open_folder

__all__ = [
    "test_a_put_that_fails_changes_nothing", "test_reading", "test_what_is_not_there_or_too_large",
    "test_writing",
]  # fmt: skip
PLANTED = "AKIAPLANTEDPLANTED", "planted/secret+value"
WRONG = (
    "s3://{0}:{1}@bucket/run", "s3://{0}@bucket/run", "s3://bucket/run?X-Amz-Signature={1}",
    "s3://{0}:{1}/run", "gs://bucket/run#{1}", "az://container/run?sig={1}",
)  # fmt: skip


@pytest.fixture
def storage(url: str) -> Storage:
    return open_folder(url)


@pytest.fixture
def filled(url: str) -> Storage:
    found = open_folder(url)
    for path, content in FILES.items():
        found.put(path, content)
    return found


def test_a_listing_is_one_request_and_tells_all(filled: Storage, proxy: Proxy) -> None:
    proxy.clear()
    listing = filled.listed()
    assert proxy.counts() == {"LIST": 1}
    assert listing.names() == ["neurons", "pyramid", "run.json"]
    assert [(entry.name, entry.size) for entry in listing.entries("neurons")] == [("one", 5), ("two", 10)]
    assert listing.entries("pyramid")[0].is_folder
    assert listing.stamp("neurons/one") == filled.stamp("neurons/one")
    assert listing.names("nowhere") == []


def test_what_is_fetched_is_asked_for_once_and_neighbours_together(filled: Storage, proxy: Proxy) -> None:
    content = os.urandom(3 * 2**20)
    filled.put("large", content)
    filled.listed()
    proxy.clear()
    filled.fetch(
        [
            ("large", 10, 20),
            ("large", 100_000, 100_010),
            ("large", 3_000_000, 3_000_001),
            ("neurons/two", 3, 4),
        ]
    )
    assert proxy.counts() == {"GET": 3}
    filled.fetch([("large", 12, 18)])
    with filled.open("large") as file, filled.open("neurons/two") as small:
        assert (file.read_at(5, 12), small.read_at(10, 0)) == (content[12:17], b"0123456789")
        assert proxy.counts() == {"GET": 3}
        assert file.read_at(9, 2_000_000) == content[2_000_000:2_000_009]
    assert proxy.counts() == {"GET": 4}


def test_an_object_that_was_replaced_since_it_was_listed_is_gone(url: str) -> None:
    storage = open_folder(url)
    storage.put("object", b"old content")
    storage.listed()
    open_folder(url).put("object", b"new content")
    with storage.open("object") as file, pytest.raises(FileNotFoundError):
        file.read_at(3, 0)
    with pytest.raises(FileNotFoundError):
        storage.fetch([("object", 0, 3)])
    storage.listed()
    with storage.open("object") as file:
        assert file.read_at(3, 0) == b"new"


def test_names_that_urls_would_escape(url: str) -> None:
    storage = open_folder(url)
    for name in ("a b", "ä+%20&=.json", "x/y z/#1"):
        storage.put(name, name.encode())
        assert storage.read(name, 99) == name.encode()
    assert storage.names() == ["a b", "x", "ä+%20&=.json"]
    assert sorted(storage.listed().objects) == ["a b", "x/y z/#1", "ä+%20&=.json"]  # type: ignore[attr-defined]
    with pytest.raises(RunError, match="leads out of"):
        storage.read("../other", 9)


# ---- what is in the way


def test_a_store_that_does_not_answer(url: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for ask in (lambda: probes.Run(url), lambda: probes.catalog(url)):
        with pytest.raises(RunError, match=r"s3://runs\S* cannot be (read|listed): ") as raised:
            ask()
        assert "\n" not in str(raised.value)
    with pytest.raises(WriteError, match="cannot be written"):
        open_folder(url).put("object", b"")


def test_a_key_that_may_not(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(RunError, match="credentials are taken from the environment") as raised:
        probes.Run(url)
    assert "another-secret" not in str(raised.value)


def test_a_bucket_that_is_not_there() -> None:
    with pytest.raises(RunError, match="s3://nowhere/runs cannot be listed: .*bucket"):
        probes.catalog("s3://nowhere/runs")


def test_a_run_that_is_not_there(url: str) -> None:
    with pytest.raises(RunError, match="holds no run: there is no run.json in it"):
        probes.Run(url)


# ---- secrets


COMMANDS = (
    ["show"], ["check"], ["ls"], ["export"], ["compact"], ["ui", "--no-browser"], ["mirror", "."], ["fleet"],
)  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_url_with_credentials_is_refused_without_repeating_them(
    wrong: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*command, wrong.format(*PLANTED), *(["select 1"] if command == ["fleet"] else [])]
    try:
        status = main(words)
    except SystemExit as ended:  # of a command line that is none
        status = int(str(ended.code))
    said = capsys.readouterr()
    assert status == 2, said
    assert not [secret for secret in PLANTED if secret in said.out + said.err]
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("wrong", WRONG)
def test_a_url_with_credentials_opens_nothing(wrong: str) -> None:
    url = wrong.format(*PLANTED)
    layers = [{"name": "a", "neurons": 2}]
    for call in (
        lambda: probes.Run(url),
        lambda: probes.catalog(url),
        lambda: probes.Recorder(url, layers),
        lambda: probes.Recorder.resume(url, 1),
        lambda: probes.scan(url),
        lambda: open_folder(Path(url)),
    ):
        with pytest.raises(RunError) as raised:
            call()
        texts = [str(raised.value), repr(raised.value.__cause__), repr(raised.value.__context__)]
        assert not [secret for secret in PLANTED for text in texts if secret in text]
    assert is_store(url)


def test_no_message_repeats_what_the_environment_keeps_secret(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where the secret is part of an address."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-session-token")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://planted-user:planted-password@127.0.0.1:1/{SECRET}")
    for ask in (lambda: probes.Run(url), lambda: probes.catalog(url), lambda: open_folder(url).put("a", b"")):
        with pytest.raises(ValueError, match="cannot be") as raised:
            ask()
        said = f"{raised.value}{raised.value.__cause__}"
        for secret in (SECRET, "planted-session-token", "planted-password", "planted-user"):
            assert secret not in said
    assert SECRET not in "".join(capfd.readouterr())
