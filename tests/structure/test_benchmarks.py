"""What the command lines of benchmarks share: words that are not known are refused with those that are."""

from __future__ import annotations

import argparse

import pytest

from benchmarks import sections


def test_parts_are_named_with_commas() -> None:
    read = sections.some_of(("one", "two", "three"))
    assert read("three,one") == ["three", "one"]
    for text in ("one,tow", "", "one,"):
        with pytest.raises(argparse.ArgumentTypeError, match="name some of one, two, three"):
            read(text)


def test_whole_numbers_with_commas() -> None:
    assert sections.whole_numbers("0,12") == [0, 12]
    for text in ("0,x", "0.5", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="whole numbers"):
            sections.whole_numbers(text)


def test_memory_is_that_of_this_process_and_its_peak_is_no_less() -> None:
    assert 0 < sections.memory("VmRSS") <= sections.memory("VmHWM")


def test_a_package_that_is_not_there_is_named_with_the_remedy() -> None:
    with pytest.raises(SystemExit, match=r"needs no-such-package, .* `make`"):
        sections.measured_on("numpy", "no-such-package")


def test_the_documents_that_are_written_are_there() -> None:
    assert sections.DOCUMENT.is_file()
    assert sections.DIAGNOSTICS.is_file()
