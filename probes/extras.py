"""What only some parts need, and the words to install it with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DISTRIBUTION = "vdn-probes"
EXTRAS = {
    "numpy": "", "pandas": "", "pyarrow": "", "rich": "", "filelock": "", "scipy": "",
    "torch": "watch",
    "streamlit": "ui", "plotly": "ui", "jinja2": "ui", "duckdb": "ui",
    "sklearn": "train",
    "obstore": "store",
    "anywidget": "notebook", "traitlets": "notebook",
    "daft": "fleet", "ray": "fleet", "submitit": "sweep",
}  # fmt: skip
"""Package as it is imported -> the extra of pyproject.toml that installs it; empty: always installed."""


class MissingPackageError(ModuleNotFoundError):
    """A package that is not installed; the message says who needs it and how to get it."""


@contextmanager
def named(who: str, extra: str | None = None) -> Iterator[None]:
    """An import of one of `EXTRAS` that is not installed, as a MissingPackageError that names the extra.

    who: what needs it, as the user calls it. extra: to be named in place of the package's own.
    """
    try:
        yield
    except MissingPackageError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        chosen = EXTRAS[package] if extra is None else extra
        wanted = f"'{DISTRIBUTION}[{chosen}]'" if chosen else DISTRIBUTION
        raise MissingPackageError(
            f"{who} needs {package}, which is not installed: pip install {wanted}", name=error.name
        ) from error
