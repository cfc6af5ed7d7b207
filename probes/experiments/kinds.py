"""The experiments that there are: their names, what they ask, the numbers they take and where those start.

The one place for both who start them: the command line (`python -m vdn probe`) and the dashboard's page. No
torch here: the dashboard's server loads none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Setting:
    """A number that an experiment takes.

    Attributes
    ----------
    flag
        Its name on the command line.
    label
        What the page calls it.
    help
        What the command line says.
    value
        Where it starts.
    largest
        The most that the page takes.
    """

    flag: str
    label: str
    help: str
    value: int
    largest: int


@dataclass(frozen=True)
class Experiment:
    """What can be started.

    Attributes
    ----------
    title
        Its name on the page.
    question
        That it answers.
    help
        What it does, in a line.
    settings
        Numbers that it takes.
    takes
        The runs that it is for: "windows" (and rows), "sequences", or "all".
    """

    title: str
    question: str
    help: str
    settings: tuple[Setting, ...]
    takes: Literal["windows", "sequences", "all"] = "windows"

    def fits(self, sequences: bool) -> bool:
        """Whether it takes such a run.

        Parameters
        ----------
        sequences
            Whether the run is of sequences.

        Returns
        -------
        bool
            Whether it does.
        """
        return self.takes in ("all", "sequences" if sequences else "windows")


def windows(value: int, largest: int = 20_000) -> Setting:
    """How many examples an experiment takes.

    Parameters
    ----------
    value, largest
        As for `Setting`.

    Returns
    -------
    Setting
        "windows".
    """
    return Setting("windows", "Windows", "examples, evenly spread", value, largest)


def draws(value: int, largest: int = 64) -> Setting:
    """How many draws an example gets.

    Parameters
    ----------
    value, largest
        As for `Setting`.

    Returns
    -------
    Setting
        "draws".
    """
    return Setting("draws", "Draws", "draws an example", value, largest)


EXPERIMENTS: dict[str, Experiment] = {
    "ablation": Experiment(
        "Ablation",
        "What does the network lose when one neuron is silenced, and would KL, information or regime have"
        " told?",
        "each neuron silenced: effect on the scores",
        (windows(2000), draws(2)),
        "all",
    ),
    "traversal": Experiment(
        "Traversal",
        "What does a neuron say? It is walked over its prior while all else stays, and the prediction is"
        " watched.",
        "neurons walked over their prior: effect on the prediction",
        (
            Setting("windows", "Inputs", "examples, or positions of a sequence, evenly spread", 4, 64),
            draws(64, 512),
            Setting("each", "Neurons a layer", "without --neurons: the most informative of a layer", 2, 64),
        ),
        "all",
    ),
    "shift": Experiment(
        "Shift",
        "Does the network notice damaged inputs, and which of its uncertainties tells it?",
        "damaged inputs: scores and statistics against the dose",
        (windows(1000), draws(8)),
    ),
    "risk-coverage": Experiment(
        "Risk-coverage",
        "How much better does it get when it may decline the inputs that it is least sure of?",
        "error of the inputs kept as the uncertain are dropped",
        (windows(2000), draws(16, 256)),
    ),
    "rollout": Experiment(
        "Rollout",
        "What happens when it continues a series on its own, each prediction fed back?",
        "the network continues a series on its own",
        (
            windows(4, 64),
            Setting("length", "Positions t", "rows to continue", 168, 2000),
            Setting("trajectories", "Trajectories", "continuations of each window", 32, 512),
        ),
    ),
    "generation": Experiment(
        "Generation",
        "How does it go on from a prompt, and where is it unsure?",
        "the network continues a prompt, each way a draw of its neurons and of every position",
        (
            Setting("length", "Positions t", "positions to add", 200, 2000),
            Setting("trajectories", "Trajectories", "continuations of the prompt", 8, 64),
        ),
        "sequences",
    ),
}
