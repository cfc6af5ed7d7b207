"""Code books are found by themselves, each level of a residual quantiser a layer; tokens are none."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from probes.run import Run
from probes.watching.attaching import watch
from probes.watching.observing import observe_codes

X, D, CODES, BATCH = 6, 4, 8, 32


class HandWritten(nn.Module):
    """As in many repositories: the nearest row of an embedding, its index returned last."""

    def __init__(self, codes=CODES):
        super().__init__()
        self.embedding = nn.Embedding(codes, D)

    def forward(self, z):
        index = torch.cdist(z.detach().reshape(-1, D), self.embedding.weight).argmin(1)
        picked = self.embedding(index).view_as(z)
        loss = F.mse_loss(picked, z.detach()) + 0.25 * F.mse_loss(picked.detach(), z)
        return z + (picked - z).detach(), loss, index


class Autoencoder(nn.Module):
    def __init__(self, bottleneck):
        super().__init__()
        self.inward, self.bottleneck, self.outward = nn.Linear(X, D), bottleneck, nn.Linear(D, X)

    def forward(self, x):
        found = self.bottleneck(self.inward(x))
        self.index = found[-1]
        return self.outward(found[0])


class BinaryQuantizer(nn.Module):
    """A quantiser that states its size, holds no table, and picks for two code books."""

    def __init__(self):
        super().__init__()
        self.codebook_size, self.num_codebooks = CODES, 2

    def forward(self, z):
        index = (z[..., :2].sigmoid() * CODES).long().clamp(0, CODES - 1)
        return z, index


class ResidualQuantizer(nn.Module):
    """Levels one after the other; some steps leave the last one out, whose picks are -1."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(HandWritten() for _ in range(2))
        self.num_quantizers, self.dropped = 2, False

    def forward(self, z):
        left, whole, picks = z, 0, []
        for level, layer in enumerate(self.layers):
            if level and self.dropped:
                picks.append(torch.full((len(z),), -1))
                continue
            picked, _, index = layer(left)
            left, whole = left - picked, whole + picked
            picks.append(index)
        return whole, torch.stack(picks, -1)


def train(model, path, steps=3, **options):
    """The run, and the picks of all steps."""
    picks = []
    with watch(model, path, strict=True, **options) as recording:
        for step in range(steps):
            model(torch.randn(BATCH, X)).square().mean().backward()
            picks.append(model.index)
            recording.step(step)
    return Run(path), torch.cat(picks)


def usage(picks, size=CODES):
    counts = torch.bincount(picks[picks >= 0].flatten(), minlength=size).double()
    return (counts / counts.sum()).numpy()


@pytest.mark.parametrize("every", [1, 2])
def test_a_hand_written_quantiser_is_a_layer_of_codes_and_every_step_counts(tmp_path, every):
    torch.manual_seed(0)
    run, picks = train(Autoencoder(HandWritten()), tmp_path / "run", 4, every=every)
    layer = run.layers[0]
    assert (layer["name"], layer["neurons"], layer["family"]) == ("bottleneck", CODES, "codes")
    assert (layer["prior"], layer["window"]) == ("none", 1024)
    share = usage(picks)
    np.testing.assert_allclose(run.at(3)["usage"], share, rtol=1e-5)
    last = run.layer_summary().iloc[-1]
    entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
    np.testing.assert_allclose(last["layer_perplexity"], np.exp(entropy), rtol=1e-5)
    assert last["layer_dead_codes"] == (share == 0).sum()
    assert last["layer_window"] == 4 * BATCH
    np.testing.assert_allclose(run.at(3)["information"].sum(), entropy, rtol=1e-5)


def test_code_books_side_by_side_are_layers(tmp_path):
    run, picks = train(Autoencoder(BinaryQuantizer()), tmp_path / "run")
    assert [layer["name"] for layer in run.layers] == ["bottleneck.0", "bottleneck.1"]
    for book in range(2):
        np.testing.assert_allclose(run.at(2, book)["usage"], usage(picks[:, book]), rtol=1e-5)


def test_levels_of_a_residual_quantiser_are_layers_though_one_is_left_out(tmp_path):
    model = Autoencoder(ResidualQuantizer())
    model.bottleneck.dropped = True
    picks = []
    with watch(model, tmp_path / "run", strict=True) as recording:
        for step in range(4):
            model(torch.randn(BATCH, X))
            picks.append(model.index)
            recording.step(step)
            model.bottleneck.dropped = step == 1
    run, picks = Run(tmp_path / "run"), torch.cat(picks)
    assert [layer["name"] for layer in run.layers] == ["bottleneck.0", "bottleneck.1"]
    for level in range(2):
        np.testing.assert_allclose(run.at(3, level)["usage"], usage(picks[:, level]), rtol=1e-5)
    assert run.layer_summary().query("layer == 1")["layer_window"].tolist()[1:] == [BATCH, BATCH, 2 * BATCH]


def test_token_ids_and_predicted_classes_are_no_codes(tmp_path):
    class Language(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(CODES, D), nn.Linear(D, CODES)

        def forward(self, tokens):
            logits = self.head(self.embedding(tokens))
            return logits, logits.argmax(-1), tokens

    model = Language()
    with pytest.warns(RuntimeWarning, match="no posterior was found"):  # noqa: PT031
        recording = watch(model, tmp_path / "run")
        model(torch.randint(CODES, (4, 5)))
        recording.step(0)
        recording.close()
    assert Run(tmp_path / "run").layers == []


def test_codes_that_are_handed_over_have_a_window_a_mask_and_padding(tmp_path):
    index = torch.tensor([[0, 1], [2, -1], [3, 3]])
    mask = torch.tensor([[True], [True], [False]])
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        for step in range(5):
            observe_codes("book", (index + step).where(index >= 0, -1), 16, window=2, mask=mask)
            recording.step(step)
    run = Run(tmp_path / "run")
    assert run.layers[0]["window"] == 2
    frame = run.at(4)
    assert frame.query("usage > 0")["neuron"].tolist() == [3, 4, 5, 6]
    np.testing.assert_allclose(frame["usage"].sum(), 1, rtol=1e-6)
    assert frame.loc[frame["usage"] == 0, "regime"].eq(4).all()  # dead


@pytest.mark.parametrize(
    ("index", "size", "options", "words"),
    [
        (torch.zeros(3), 4, {}, "not whole numbers"),
        (torch.zeros(3, dtype=torch.int64), 0, {}, "must be at least 1"),
        (torch.zeros(3, dtype=torch.int64), 4, {"window": 0}, "must be at least 1"),
        (torch.zeros(3, dtype=torch.int64), 4, {"mask": torch.ones(2)}, "observe_codes"),
        (torch.full((3,), 4), 4, {}, "beyond a code book of 4"),
        (torch.zeros(3, dtype=torch.int64), 8.0, {}, "size is 8.0, window None; they must be whole numbers"),
    ],
)
def test_codes_that_are_none_are_an_error_at_the_call(tmp_path, index, size, options, words):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False), pytest.raises(ValueError, match=words):
        observe_codes("book", index, size, **options)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.uint16, torch.int64])
def test_picks_are_whole_numbers_of_any_kind(tmp_path, dtype):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False, strict=True) as recording:
        observe_codes("book", torch.tensor([0, 1, 1, 3], dtype=dtype), np.int64(4))
        recording.step(0)
    np.testing.assert_allclose(Run(tmp_path / "run").at(0)["usage"], [0.25, 0.5, 0, 0.25])


def test_codes_beyond_the_book_later_are_counted(tmp_path):
    with watch(nn.Linear(1, 1), tmp_path / "run", hooks=False) as recording:
        observe_codes("book", torch.tensor([0, 1]), 4)
        recording.step(0)
        observe_codes("book", torch.tensor([7]), 4)
        recording.step(1)
        with pytest.warns(RuntimeWarning, match="1 indices lie beyond a code book of 4"):
            recording.flush()
        observe_codes("book", torch.tensor([1]), 4)
        recording.step(2)
    assert recording.lost == 1
    np.testing.assert_allclose(Run(tmp_path / "run").at(2)["usage"], [1 / 3, 2 / 3, 0, 0], rtol=1e-6)


class ProductQuantizer(nn.Module):
    """Code books side by side, whose picks are stacked on another axis than the last."""

    def __init__(self, axis, listed=False):
        super().__init__()
        self.num_embeddings, self.axis = CODES, axis
        if listed:
            self.books = nn.ModuleList(nn.Embedding(CODES, D // 2) for _ in range(2))
        else:
            self.codebook = nn.Parameter(torch.randn(2, CODES, D // 2))

    def forward(self, z):
        tables = [one.weight for one in self.books] if hasattr(self, "books") else list(self.codebook)
        parts = list(zip(z.split(D // 2, -1), tables, strict=True))
        picks = [torch.cdist(part.detach(), table).argmin(-1) for part, table in parts]
        picked = torch.cat([table[pick] for (_, table), pick in zip(parts, picks, strict=True)], -1)
        return z + (picked - z).detach(), torch.stack(picks, self.axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("listed", [False, True])
def test_code_books_of_any_axis_are_layers(tmp_path, axis, listed):
    torch.manual_seed(0)
    model = Autoencoder(ProductQuantizer(axis, listed))
    with watch(model, tmp_path / "run", strict=True) as recording:
        picks = []
        for step in range(3):
            model(torch.randn(BATCH, X)).square().mean().backward()
            picks.append(model.index.movedim(axis, 0))
            recording.step(step)
    run = Run(tmp_path / "run")
    assert [layer["name"] for layer in run.layers] == ["bottleneck.0", "bottleneck.1"]
    for book in range(2):
        np.testing.assert_allclose(run.at(2, book)["usage"], usage(torch.stack(picks)[:, book]), atol=1e-6)
    assert recording.found[1]["read"] == ("codes=1[1]" if axis == 0 else "codes=1[..., 1]")


def test_code_books_of_no_axis_are_refused(tmp_path):
    """A batch of as many rows as there are code books: either axis may be theirs."""
    model = Autoencoder(ProductQuantizer(0))
    with watch(model, tmp_path / "run") as recording:
        model(torch.randn(2, X)).square().mean().backward()
        with pytest.warns(RuntimeWarning, match="which axis is the code books' cannot be told"):
            recording.step(0)
    assert recording.found == []
