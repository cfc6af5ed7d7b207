"""Scalars in another tracker: its steps are its own, so ours are written beside the values."""

from probes.integrations.mirrors import wandb_mirror


class Run:
    """What the mirror uses of a Weights & Biases run."""

    def __init__(self):
        self.rows, self.metrics = [], []

    def define_metric(self, name, step_metric):
        self.metrics.append((name, step_metric))

    def log(self, row):
        self.rows.append(row)


def test_values_come_with_our_step():
    run = Run()
    mirror = wandb_mirror(run)
    mirror("train/loss", 1.5, 3)
    mirror("kl/encoder", 0.5, 2)  # a layer's block may come after a later scalar
    assert run.metrics == [("*", "probes/step")]
    assert run.rows == [{"train/loss": 1.5, "probes/step": 3}, {"kl/encoder": 0.5, "probes/step": 2}]
