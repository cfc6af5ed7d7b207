"""What the tests of `probes` share."""

from checked_figures import checked_figures

__all__ = ["checked_figures"]
