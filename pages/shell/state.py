"""The first place of `pages.shell.session.state`: both import the same module."""

import sys

from pages.shell.session import state

sys.modules[__name__] = state
