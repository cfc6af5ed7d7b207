"""Thinned layer summaries against numpy on the rows they stand for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from probes.figures.downsampling import AS_RECORDED, downsample, downsampling_note


def summary(steps: int, layer: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(layer)
    names = [f"kl_{kind}" for kind in ("mean", "p05", "p25", "p50", "p75", "p95")]
    values = random.standard_normal((steps, len(names))).astype(np.float32)
    counts = random.integers(0, 9, steps).astype(np.int32)
    rows = pd.DataFrame({"step": 3 * np.arange(steps), "layer": np.int16(layer)})
    return rows.assign(**dict(zip(names, values.T, strict=True)), regime_0=counts, regime_4=9 - counts)


def test_what_fits_is_left_as_it_is() -> None:
    table = summary(1000)
    found, together = downsample(table)
    assert together == 1
    assert found is table
    assert downsampling_note(together) == ""


@pytest.mark.parametrize(("steps", "most"), [(1001, 1000), (9_999, 1000), (700, 400)])
def test_rows_stand_for_those_until_the_next(steps: int, most: int) -> None:
    table = summary(steps)
    found, together = downsample(table, most)
    assert len(found) <= most
    pd.testing.assert_frame_equal(found.head(AS_RECORDED), table.head(AS_RECORDED), check_dtype=False)
    pd.testing.assert_series_equal(found.iloc[-1], table.iloc[-1], check_names=False)
    ends = [*found["step"].tolist()[1:], int(table["step"].iloc[-1]) + 1]
    widths = []
    for row, end in zip(found.itertuples(), ends, strict=True):
        part = table[(table["step"] >= row.step) & (table["step"] < end)]
        widths.append(len(part))
        assert row.kl_p05 == part["kl_p05"].min()
        assert row.kl_p25 == part["kl_p25"].min()
        assert row.kl_p75 == part["kl_p75"].max()
        assert row.kl_p95 == part["kl_p95"].max()
        assert row.kl_p50 == pytest.approx(part["kl_p50"].mean(), abs=1e-6)
        assert row.regime_4 == pytest.approx(part["regime_4"].mean(), rel=1e-6)
    assert sum(widths) == steps
    assert max(widths) == together
    assert str(together) in downsampling_note(together)


def test_steps_without_the_statistic_weigh_nothing() -> None:
    table = summary(1200)
    table.loc[
        table.index[300:].difference(table.index[301::2]), [f"kl_{kind}" for kind in ("p05", "p50", "p95")]
    ] = np.nan
    found, _ = downsample(table)
    one = found[found["step"] == found["step"].iloc[500]].iloc[0]
    part = table[(table["step"] >= one["step"]) & (table["step"] < found["step"].iloc[501])]
    assert one["kl_p05"] == part["kl_p05"].min()
    assert one["kl_p50"] == pytest.approx(part["kl_p50"].mean())
    assert found["kl_p95"].iloc[:-2].notna().all()  # the last but one stands for a single step


def test_layers_are_reduced_apart_and_stay_in_order() -> None:
    both = pd.concat([summary(3000), summary(500, layer=1)]).sort_values(["step", "layer"], ignore_index=True)
    found, _ = downsample(both)
    assert (found.groupby("layer").size() <= 1000).all()
    pd.testing.assert_frame_equal(
        found[found["layer"] == 1].reset_index(drop=True),
        both[both["layer"] == 1].reset_index(drop=True),
        check_dtype=False,
    )
    assert found[["step", "layer"]].apply(tuple, axis=1).is_monotonic_increasing
