"""Tables of plain rows."""

import pandas as pd

import probes
from probes.recorder import Recorder


def test_a_step_that_no_file_holds_has_the_same_columns_whatever_was_read_before(tmp_path):
    with Recorder(tmp_path / "run", [{"name": "a", "neurons": 3}]) as recorder:
        recorder.record(1, 0, mean=[0.0] * 3)
        for step in (1, 2):
            recorder.predictions(step, pd.DataFrame({"input": [0], "y": [1.0]}))
            recorder.flush()
        run = probes.Run(tmp_path / "run")
        before = run.predictions(7)
        assert run.predictions()["step"].tolist() == [2]  # now the files' steps are known
        pd.testing.assert_frame_equal(run.predictions(7), before)
        assert list(before) == ["step", "input", "y"]
        assert run.predictions(1)["step"].tolist() == [1]
