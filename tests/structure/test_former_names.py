"""Names that scripts of before import are still there."""

import importlib

import pytest

FORMER = {
    "vdn.probe": "vdn.experiment",
    "pages.shell.state": "pages.shell.session.state",
}


@pytest.mark.parametrize(("former", "today"), FORMER.items())
def test_a_module_that_moved_is_found_where_it_was(former, today):
    assert importlib.import_module(former) is importlib.import_module(today)


def test_a_module_that_moved_is_an_attribute_of_its_package():
    from pages.shell import state
    from pages.shell.session import state as moved

    assert state is moved
