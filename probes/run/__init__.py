"""Run: sliced, incremental, downsampled reading of a run's folder; catalog: what a folder of runs holds.

Reads only the files that a question needs. What is derived and not written yet is computed from `neurons/`,
so that every answer covers every step.
Frames are pandas with the keys as columns, sorted (step, layer, neuron); arrays are read-only numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from probes.errors import RunError
from probes.log.catalog import catalog, catalog_rows, run_name
from probes.run.neurons import NeuronsReader
from probes.run.tables import TablesReader

if TYPE_CHECKING:
    from probes.notebook.replay import Replay

__all__ = ["Run", "RunError", "catalog", "catalog_rows", "run_name"]


class Run(NeuronsReader, TablesReader):
    """One run, read where it lies.

    Parameters
    ----------
    path
        Its folder: a path, the URL of an object store (`s3://bucket/run`, with the extra `store`), another
        URI that `pyarrow.fs` knows, or a `probes.storage.Storage`.

    Raises
    ------
    RunError
        When the folder holds no run, its manifest is broken or its format is newer than this reader; from
        every method, when a file that it needs is damaged.

    Notes
    -----
    The files are described in docs/format.md. `storage` is where they lie, `path` what that is called,
    `manifest` what run.json said at the last `refresh`. Threads may share a run: one reads at a time.
    """

    def __repr__(self) -> str:
        if "manifest" not in vars(self):  # of a run that could not be opened, as tracebacks show it
            return "Run(not opened)"
        count = (self.manifest.get("steps") or {}).get("count") or 0  # opens no file, which might be damaged
        return f"Run({self.path!r}: {self.status}, {len(self.layers)} layers, {count} steps)"

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        from probes.notebook import summary

        return summary.html(self)

    def replay(
        self,
        layers: Sequence[int | str] | None = None,
        neurons: int | Sequence[str] = 16,
        step: int | None = None,
    ) -> Replay:
        """The replay as a widget of a notebook.

        Parameters
        ----------
        layers
            Indices from 0 or names; by default six, evenly spaced in depth.
        neurons
            How many of each layer; or names such as "2:17" (layers counted from 1) to draw beside 16 of each.
        step
            Where the cursor stands; without one the replay plays once it comes into view.

        Returns
        -------
        notebook.replay.Replay
            Its `step` is the cursor's, to be read and set; `export(FILE)` writes a page.

        Raises
        ------
        RunError
            For a layer or neuron that the run does not have, and where it holds no distributions.
        MissingPackageError
            Where the extra `notebook` is not installed.
        """
        from probes.notebook.replay import Replay

        return Replay(self, layers, neurons, step)

    def alerts(self) -> pd.DataFrame:
        """Alerts of the whole run.

        Returns
        -------
        pandas.DataFrame
            As `probes.alerts.alerts` gives them, where columns and limits are described.
        """
        from probes.alerts import alerts

        return alerts(self)
