"""The first name of `vdn.experiment`: both import the same module."""

import sys

from vdn import experiment

sys.modules[__name__] = experiment
