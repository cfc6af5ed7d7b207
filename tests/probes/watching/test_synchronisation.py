"""Nothing in a step waits for the device: no value of a tensor is asked for, but where it lies on the CPU."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import probes
from benchmarks import gpu
from benchmarks.watch import VAE, Categorical, Recurrent, Transformer
from probes import Recorder
from probes.sequence_moments import SequenceMoments
from vdn.config import from_dict, resolve
from vdn.data import load
from vdn.train import layer_list
from vdn.trainer import make_trainer
from vdn.training_logger import TrainingLogger

ROOT = Path(__file__).resolve().parents[3]
OF_THE_CPU = {
    ("probes/moment_sums.py", "plain_sums"),
    ("probes/moment_sums.py", "add_kl"),
    ("probes/family_moments/class_sums.py", "class_sums"),
    ("probes/family_moments/pooling.py", "_sum_products"),
    ("probes/family_moments/pooling.py", "_sum_xlogy"),
    ("probes/family_moments/rows.py", "non_finite"),
}
"""Functions that ask for a value behind `device.type == "cpu"`."""


class Asked(TorchDispatchMode):
    """Counts what would wait for a device, by the function of this repository that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.by: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        masked = name == "index" and any(one is not None and one.dtype == torch.bool for one in args[1])
        if masked or name in ("_local_scalar_dense", "nonzero", "equal", "_unique2", "masked_select"):
            for frame in reversed(traceback.extract_stack()):
                path = Path(frame.filename)
                if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in ("probes", "vdn"):
                    self.by[str(path.relative_to(ROOT)), frame.name] += 1
                    break
        return func(*args, **(kwargs or {}))


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "gaussian": (lambda: VAE(20, 16, 4), lambda: torch.rand(32, 20)),
    "at each position": (lambda: Recurrent(3, 8, 4), lambda: torch.rand(5, 16, 3)),
    "transformer": (lambda: Transformer(3, 16, 4), lambda: torch.rand(16, 6, 3)),
    "categorical": (lambda: Categorical(20, 16, 4, 5), lambda: torch.rand(32, 20).round()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", MODELS)
def test_a_watched_step(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probes.watching.statistics_buffer.BUFFERED_SECONDS", 1e9)
    make, batch = MODELS[kind]
    model, asked = make(), Asked()
    optimiser = torch.optim.Adam(model.parameters())
    with probes.watch(model, tmp_path / "run") as recording:
        for step in range(16):
            optimiser.zero_grad()
            if step < 8:
                loss = model(batch())
                loss.backward()
                recording.step(step, loss=loss.detach())
                continue
            with asked:
                loss = model(batch())
                loss.backward()
                recording.step(step, loss=loss.detach())
    assert set(asked.by) <= OF_THE_CPU


def test_functions_that_ask_on_the_cpu_look_where_the_values_lie() -> None:
    for path, function in OF_THE_CPU:
        text = (ROOT / path).read_text()
        assert f"def {function}" in text, f"{path} has no {function} any more: correct OF_THE_CPU"
        assert "cpu" in text.partition(f"def {function}")[2].partition("\ndef ")[0]


@pytest.mark.parametrize("masked", [False, True])
def test_sums_of_sequences(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device without values, where asking for one is an error."""
    monkeypatch.setattr(torch, "autocast", lambda *given, **settings: nullcontext())  # which it has not
    one = torch.ones(2, 6, 3, 1, device="meta")
    mask = torch.ones(2, 6, dtype=torch.bool, device="meta") if masked else None
    SequenceMoments().update(
        one, one, one, sigma=one, phi=torch.ones(3, device="meta"), past=one, z=one, previous_z=one, gate=one,
        mask=mask,
    )  # fmt: skip


def test_training_waits_once_a_flush(tmp_path: Path) -> None:
    config = resolve(
        from_dict({"data": "nyc", "layers": 1, "neurons": 4, "batch": 16, "steps": 40, "probe_inputs": 0})
    )
    trainer, counts = make_trainer(config, load(config)), []
    with Recorder(tmp_path / "run", layer_list(config)) as recorder:
        logger = TrainingLogger(trainer, recorder)
        for steps in (4, 12):
            stepping, flushing = Asked(), Asked()
            for _ in range(steps):
                with stepping:
                    logger.before(trainer.done)
                    logger.after(trainer.done, trainer.step())
            assert set(stepping.by) <= OF_THE_CPU
            with flushing:
                logger.flush()
            counts.append(sum(flushing.by.values()))
    assert counts[0] == counts[1], "waits grow with the steps of a flush"


def test_without_a_gpu_the_benchmark_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == gpu.UNMET
    assert "nothing measured, torch sees no GPU" in capsys.readouterr().err
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert gpu.main(["--steps", "3"]) == gpu.UNMET
    assert "built without CUDA" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        gpu.main(["--steps", "many"])
