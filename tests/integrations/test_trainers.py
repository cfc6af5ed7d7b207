"""The callbacks in real Lightning and Hugging Face trainers: a row an optimiser step, scalars, resuming, how
it ended.
"""

import lightning
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import Trainer, TrainingArguments

from pages.shell import no_runs
from probes.integrations.huggingface import Watch as HuggingFaceWatch
from probes.integrations.lightning import Watch
from probes.run import Run

# Lightning's own use of torch
pytestmark = pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning")

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))


class Module(lightning.LightningModule):
    def __init__(self, fail_at=None):
        super().__init__()
        self.fc_mu, self.fc_logvar, self.decoder = nn.Linear(6, 3), nn.Linear(6, 3), nn.Linear(3, 6)
        self.fail_at = fail_at

    def loss(self, x):
        mu, logvar = self.fc_mu(x), self.fc_logvar(x)
        z = mu + torch.randn_like(mu) * (logvar / 2).exp()
        return (self.decoder(z) - x).square().sum(1).mean() + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(
            1
        ).mean()

    def training_step(self, batch, batch_idx):
        if self.global_step == self.fail_at:
            raise ArithmeticError
        loss = self.loss(batch)
        self.log("rate", loss / 2)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(100 + batch))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def trainer(folder, callbacks, **options):
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
    }
    return lightning.Trainer(
        default_root_dir=folder, callbacks=callbacks, log_every_n_steps=1, **quiet, **options
    )


def loaders():
    return DataLoader(X, batch_size=8), DataLoader(X, batch_size=20)


def test_lightning_records_optimiser_steps_and_changes_nothing(tmp_path):
    weights = []
    for callbacks in ([], [Watch(tmp_path / "run")]):
        lightning.seed_everything(0, verbose=False)
        module = Module()
        trainer(tmp_path, callbacks, max_epochs=2, accumulate_grad_batches=2, enable_checkpointing=False).fit(
            module, *loaders()
        )
        weights.append([parameter.detach().clone() for parameter in module.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    run = Run(tmp_path / "run")
    assert run.status == "finished"
    assert run.steps.tolist() == list(range(6))  # 5 batches an epoch, pooled by two: 3 steps
    assert [layer["name"] for layer in run.layers] == ["fc_mu"]
    scalars = run.scalars()
    assert set(scalars[scalars["split"] == "train"]["name"]) == {"loss", "rate"}
    assert scalars[scalars["split"] == "validation"]["step"].tolist() == [2, 5]
    assert run.at(5)["mean"].abs().max() < 10  # validation's inputs, 100 away, are not in it


def test_lightning_continues_the_run_of_a_checkpoint(tmp_path):
    first = trainer(tmp_path, [Watch(tmp_path / "run")], max_epochs=1, enable_checkpointing=False)
    first.fit(Module(), *loaders())
    first.save_checkpoint(tmp_path / "last.ckpt")
    again = trainer(tmp_path, [Watch(tmp_path / "run")], max_epochs=2, enable_checkpointing=False)
    again.fit(Module(), *loaders(), ckpt_path=tmp_path / "last.ckpt")
    assert Run(tmp_path / "run").steps.tolist() == list(range(10))


def test_lightning_training_that_fails_is_a_crashed_run(tmp_path):
    with pytest.raises(ArithmeticError):
        trainer(tmp_path, [Watch(tmp_path / "run")], max_epochs=1, enable_checkpointing=False).fit(
            Module(fail_at=3), *loaders()
        )
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("crashed", [0, 1, 2])


class Rows(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return {"x": X[index]}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Module()

    def forward(self, x):
        return {"loss": self.inner.loss(x)}


def hugging_face(folder, **options):
    """A real Trainer on 40 rows, two batches of 8 a step: 3 steps an epoch."""
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        per_device_train_batch_size=8,
        gradient_accumulation_steps=2,
        logging_steps=1,
        eval_strategy="epoch",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **{"save_strategy": "no", "num_train_epochs": 2, **options},
    )
    torch.manual_seed(0)
    watcher = HuggingFaceWatch(folder / "run")
    return Trainer(Model(), arguments, train_dataset=Rows(), eval_dataset=Rows(), callbacks=[watcher])


def test_hugging_face_trainer(tmp_path):
    hugging_face(tmp_path).train()
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("finished", list(range(6)))
    assert [layer["name"] for layer in run.layers] == ["inner.fc_mu"]
    scalars = run.scalars()
    assert {"loss", "learning_rate"} <= set(scalars[scalars["split"] == "train"]["name"])
    assert "eval_runtime" in set(scalars[scalars["split"] == "validation"]["name"])


def test_hugging_face_training_is_what_it_was_without_the_callback(tmp_path):
    weights = []
    for name in ("bare", "watched"):
        trainer = hugging_face(tmp_path / name)
        if name == "bare":
            trainer.remove_callback(HuggingFaceWatch)
        trainer.train()
        weights.append([parameter.detach().clone() for parameter in trainer.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    assert [path.name for path in tmp_path.glob("*/run")] == ["run"]


def test_hugging_face_continues_the_run_of_a_checkpoint(tmp_path):
    hugging_face(tmp_path, save_strategy="epoch", num_train_epochs=1).train()
    again = hugging_face(tmp_path)
    again.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    run = Run(tmp_path / "run")
    assert (run.status, run.steps.tolist()) == ("finished", list(range(6)))
    assert [segment["resumed_from"] for segment in run.manifest["segments"]] == [None, 2]


def test_the_code_that_a_dashboard_without_runs_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"model": Module(), "loader": DataLoader(X, batch_size=10)}
    exec(no_runs.LIGHTNING.format(run=repr(str(tmp_path / "run"))), given)
    assert Run(tmp_path / "run").steps.tolist() == [0, 10, 20, 30, 39]
