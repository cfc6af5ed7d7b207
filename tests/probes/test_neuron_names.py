"""How neurons are written: layers from 1, older texts from 0."""

from __future__ import annotations

import pandas as pd
import pytest

from probes.neuron_names import full_name, neuron_name, neuron_names, read_neuron


@pytest.mark.parametrize(("layer", "neuron"), [(0, 0), (1, 17), (23, 65_535)])
def test_a_name_is_read_back(layer: int, neuron: int) -> None:
    assert read_neuron(neuron_name(layer, neuron)) == (layer, neuron)
    assert read_neuron(f"{layer}.{neuron}") == (layer, neuron)  # as earlier versions wrote it


def test_layers_count_from_one() -> None:
    assert neuron_name(0, 17) == "1:17"
    assert neuron_names(pd.DataFrame({"layer": [0, 2], "neuron": [3, 4]})) == ["1:3", "3:4"]


@pytest.mark.parametrize(
    "text", ["", "0:1", "17", "1:", ":1", "1:-1", "1:²", "1:2:3", "1.2.3", "a:1", " 1:2"]
)
def test_what_names_no_neuron_is_none(text: str) -> None:
    assert read_neuron(text) is None


def test_a_layer_is_named_where_that_says_more() -> None:
    assert full_name(1, 17, "layer 2") == "2:17"
    assert full_name(1, 17, "layer 1") == "2:17 · layer 1"
