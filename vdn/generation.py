"""Continuations of a prompt: each is a draw of all, of the neurons' states and of every position."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from probes.experiments.store import Progress, silent
from vdn.config import ConfigError
from vdn.sequence_data import LOWEST_NOTE, NOTES, SequenceTask
from vdn.sequence_probe import texts
from vdn.sequence_scores import Network
from vdn.splits import Split
from vdn.transformer import SequenceTransformer

NAME = "generation"  # of the stored experiment
PROMPT, CONTINUED, TRAJECTORIES = 64, 200, 8  # positions given and added, and how many ways
LIKELY = 0.02  # least probability of a note that is kept


def beginning(network: Network, task: SequenceTask, split: Split) -> Tensor:
    """The first positions of a split's first sequence, (T,) symbols or (T, D).

    network, task, split: who reads it, and where it is from.
    """
    most = task.window if isinstance(network, SequenceTransformer) else PROMPT
    return task.beginning(split, min(PROMPT, most)).y[0]


def read_prompt(task: SequenceTask, words: str) -> Tensor:
    """A prompt as it is typed: (T,) symbols or (T, D).

    task: that it is of; words: of a text its characters; of chords MIDI numbers, with commas between chords;
    of a signal numbers with commas between. Raises ConfigError for what is none.
    """
    if task.kind == "symbols":
        number = {symbol: place for place, symbol in enumerate(task.names)}
        unknown = next((letter for letter in words if letter not in number), None)
        if unknown is not None:
            known = "".join(name for name in task.names if name.isprintable())
            raise ConfigError(f"--prompt has {unknown!r}, which the text has not; it has {known!r}")
        return torch.tensor([number[letter] for letter in words], dtype=torch.long)
    parts = words.split(",") if words.strip() else []
    if task.kind == "chords":
        roll = torch.zeros(len(parts), NOTES)
        for t, chord in enumerate(parts):
            for note in chord.split():
                if not note.isdecimal() or not LOWEST_NOTE <= int(note) < LOWEST_NOTE + NOTES:
                    raise ConfigError(
                        f"--prompt is MIDI numbers from {LOWEST_NOTE} to {LOWEST_NOTE + NOTES - 1}, with"
                        f' commas between chords, such as "60 64 67, 62 65"; this is {note!r}'
                    )
                roll[t, int(note) - LOWEST_NOTE] = 1
        return roll
    try:
        values = torch.tensor([float(part) for part in parts]).reshape(-1, 1)
    except ValueError as error:
        raise ConfigError(f"--prompt is numbers with commas between, this is {words!r}") from error
    if not bool(values.isfinite().all()):
        raise ConfigError(f"--prompt is finite numbers, this is {words!r}")
    return values


def continuation_tables(
    network: Network,
    task: SequenceTask,
    prompt: Tensor,
    length: int,
    trajectories: int,
    seed: int,
    progress: Progress = silent,
) -> dict[str, pd.DataFrame]:
    """Continuations of a prompt, and what the network expected at each of their positions.

    Parameters
    ----------
    network, task
        What continues what.
    prompt
        (T,) symbols or (T, D).
    length, trajectories
        Positions added, and how many ways.
    seed
        Of all draws.
    progress
        Called with (done, total) before and after.

    Returns
    -------
    dict of DataFrame
        "prompt" (t, text) and "continuations" (trajectory, t, text, log_prob, entropy; nats); mean and sd too
        of a signal; of chords "notes" (trajectory, t, note, p): the probability of every note that was
        likely, or came.
    """
    progress(0, length)
    device = next(network.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    found = network.generate(prompt.to(device), length, trajectories, generator)
    progress(length, length)
    t = np.arange(length) + len(prompt)
    rows, notes = [], []
    for number in range(trajectories):
        columns = {"trajectory": number, "t": t, "text": texts(task, found.positions[number])}
        columns |= {"log_prob": found.log_prob[number].cpu().numpy()}
        columns |= {"entropy": found.entropy[number].cpu().numpy()}
        if task.kind == "signal":
            columns |= {"mean": found.mean[number, :, 0].cpu().numpy()}
            columns |= {"sd": found.variance[number, :, 0].sqrt().cpu().numpy()}
        elif task.kind == "chords":
            p, came = found.mean[number].cpu().numpy(), found.positions[number].cpu().numpy()
            at, key = np.nonzero((p >= LIKELY) | (came > 0))
            likely = {"t": t[at], "note": key + LOWEST_NOTE, "p": p[at, key]}
            notes.append(pd.DataFrame({"trajectory": number, **likely}))
        rows.append(pd.DataFrame(columns))
    start = pd.DataFrame({"t": np.arange(len(prompt)), "text": texts(task, prompt)})
    tables = {"prompt": start, "continuations": pd.concat(rows, ignore_index=True)}
    return tables | ({"notes": pd.concat(notes, ignore_index=True)} if notes else {})
