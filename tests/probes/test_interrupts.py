"""Ctrl-C while a command line loads: quiet in our programs, everything as it was elsewhere."""

import signal
import subprocess
import sys
import threading

import pytest

from probes.interrupts import ending_at_once, is_program

LOADING = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "{package}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["{program}", "--help"]
signal.signal(signal.SIGINT, signal.default_int_handler)
{start}
"""


@pytest.mark.parametrize(
    ("program", "package"), [("probes", "pandas"), ("vdn", "rich.table"), ("vdn", "torch")]
)
@pytest.mark.parametrize(
    "start", ["from {0}.__main__ import main", "runpy.run_module('{0}', alter_sys=True)"]
)
def test_an_interrupt_while_packages_load_ends_without_a_word(program, package, start):
    code = LOADING.format(program=program, package=package, start=start.format(program))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("called", "ours"),
    [
        ("/home/her/.venv/bin/probes", True),
        ("vdn.exe", True),
        ("/site-packages/vdn/__main__.py", True),
        ("/site-packages/pytest/__main__.py", False),
        ("train.py", False),
        ("-c", False),
        ("", False),
    ],
)
def test_other_programs_keep_their_handler(monkeypatch, called, ours):
    monkeypatch.setattr(sys, "argv", [called])
    assert is_program() is ours
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with ending_at_once():
            inside = signal.getsignal(signal.SIGINT)
        assert inside is (signal.SIG_DFL if ours else signal.default_int_handler)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_somebody_has_set_and_other_threads_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["probes"])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup leaves it
    try:
        with ending_at_once():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.signal(signal.SIGINT, signal.default_int_handler)
        seen = []

        def look() -> None:
            with ending_at_once():
                seen.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert seen == [signal.default_int_handler]
    finally:
        signal.signal(signal.SIGINT, before)
