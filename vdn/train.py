"""Training as a run: the loop, validation, the final test, a clean end when asked to stop."""

from __future__ import annotations

import dataclasses
import logging
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

import torch

from probes import Recorder, Run
from probes.experiments import store
from probes.recorder import Precision
from probes.run_reader import FinalStatus, LayerInfo
from probes.spool import spool_folder
from probes.storage import is_store, open_folder
from vdn import ranks
from vdn.answers import Answers
from vdn.baselines import baselines
from vdn.config import Config, ConfigError, command_words, from_dict
from vdn.data import DATA_FILE, identity, load, say_what_was_read
from vdn.evaluate import evaluate, find_twin, network_scores, scores
from vdn.generation import CONTINUED, NAME, TRAJECTORIES, beginning, continuation_tables
from vdn.probe_batch import fit_probe_batch
from vdn.records import DataError
from vdn.run_folder import free_folder
from vdn.trainer import (
    CHECKPOINT,
    DivergedError,
    SequenceTrainer,
    Training,
    load_checkpoint,
    load_data,
    make_trainer,
    save_checkpoint,
)
from vdn.training_logger import BUFFERED_STEPS, TrainingLogger

# enough to see the trend; the test takes every example and S = 64
VALIDATION_EXAMPLES, VALIDATION_DRAWS = 1024, 8
VALIDATION_POSITIONS = 16_384  # of sequences
TRAINING_EXAMPLES, TRAINING_POSITIONS = 512, 4096  # that are scored beside them: about 2 % of a step's time
PROGRESS_SECONDS = 0.2  # between two calls of the progress function
WEIGHTS_STEP = "weights_step"  # scalar of the test split: steps done when its weights were there
FURTHER = (DATA_FILE, ranks.RANKS)  # of a log's configuration, beside the settings


@dataclasses.dataclass
class Progress:
    """What a progress display shows: optimiser steps done and in all, loss and rate (nats), living share or
    None.

    tested, to_test: examples of the final test done and in all; 0 while training.
    """

    step: int
    steps: int
    loss: float
    rate: float
    living_share: float | None
    tested: int = 0
    to_test: int = 0


Report = Callable[[Progress], None]


class Interrupt:
    """Ctrl-C or SIGTERM, noticed between two steps: a step is never torn, so that the checkpoint is exact."""

    requested = False

    def _ask(self, signum: int, frame: FrameType | None) -> None:
        if self.requested and signum == signal.SIGINT:
            raise KeyboardInterrupt  # asked twice: at once
        self.requested = True


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Listens for SIGINT and SIGTERM while the block runs."""
    interrupt = Interrupt()
    before = {number: signal.signal(number, interrupt._ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def fit(
    trainer: Training, recorder: Recorder, run: Path, report: Report | None = None
) -> tuple[FinalStatus, Progress]:
    """Trains to the last step, to the end of patience or to an interruption, with log and checkpoint up to
    date.

    Parameters
    ----------
    trainer
        What is trained.
    recorder
        Of the log.
    run
        Folder of the checkpoint.
    report
        As for `train`.

    Returns
    -------
    tuple
        "finished" or "interrupted", and the last state of things, as `report` was told it.

    Raises
    ------
    DivergedError
        When weights have become NaN or infinite, which is looked for every 64 steps and before each
        checkpoint: the log holds all that was done, the checkpoint stays the last one before it.
    """
    every = trainer.config.validate_every
    assert every is not None
    logger: Any = TrainingLogger(trainer, recorder) if ranks.keeps_log() else ranks.Silence()
    shown = 0.0
    norms: list[torch.Tensor] = []  # of the gradients since it was last looked at the weights

    def progress() -> Progress:
        return Progress(trainer.done, trainer.last, logger.loss, logger.rate, logger.living_share())

    def look() -> None:
        if ranks.any_of(trainer.diverged()):
            logger.flush()
            recorder.flush()
            raise DivergedError(_what_diverged(trainer, norms, run))
        norms.clear()

    with interruptible() as interrupt:
        while trainer.done < trainer.last and not ranks.any_of(interrupt.requested):
            step = trainer.done
            logger.before(step)
            done = trainer.step()
            logger.after(step, done)
            norms.append(done.scalars["gradient_norm"])
            if trainer.done % every == 0 or len(norms) == BUFFERED_STEPS:
                look()
            if trainer.done % every == 0 and trainer.done < trainer.last:
                logger.flush()
                validate(trainer, recorder)
                recorder.flush()  # the log must hold what the checkpoint claims to follow
                save_checkpoint(trainer, run)
            if report is not None and time.monotonic() - shown > PROGRESS_SECONDS:
                logger.flush()
                report(progress())
                shown = time.monotonic()
        look()
        logger.flush()
        if trainer.done == trainer.last:
            validate(trainer, recorder)
        recorder.flush()
        save_checkpoint(trainer, run)
        if report is not None:
            report(progress())
    return ("finished" if trainer.done == trainer.last else "interrupted"), progress()


def _what_diverged(trainer: Training, norms: list[torch.Tensor], run: Path) -> str:
    """What is said of a training whose weights are lost.

    Parameters
    ----------
    trainer
        The training.
    norms
        Of the gradients at the last steps, each a scalar.
    run
        Folder of the checkpoint.
    """
    first = trainer.done - len(norms)
    lost = (first + place for place, norm in enumerate(norms) if not bool(norm.isfinite()))
    since = next(lost, trainer.done - 1)  # a gradient that is no number comes before weights that are none
    told = f"the training diverged: since the update of step {since:,} weights are NaN or infinite"
    kept = "it has no checkpoint yet"
    if (run / CHECKPOINT).is_file():
        kept = f"its checkpoint is of {load_checkpoint(run)['step']:,} steps"
    return (
        f"{told}. {run} holds the log of all {trainer.done:,} steps; {kept}. The same settings come to the"
        f" same: start anew with a lower --lr (it was {trainer.lr:g}) or --clip-grad (it was"
        f" {trainer.config.clip_grad:g})"
    )


def validation_scores(
    trainer: Training, answered: Callable[[Answers], None] | None = None, crps: bool = True
) -> dict[str, Any]:
    """Scores of the present network on part of the validation split, which the training takes note of.

    Parameters
    ----------
    trainer
        What is trained.
    answered, crps
        As for `vdn.evaluate.scores`.

    Returns
    -------
    dict
        As `vdn.evaluate.scores` returns them.
    """
    result = scores(
        trainer.trained,
        trainer.task,
        "validation",
        VALIDATION_DRAWS,
        trainer.config.seed,
        VALIDATION_POSITIONS if isinstance(trainer, SequenceTrainer) else VALIDATION_EXAMPLES,
        crps=crps,
        answered=answered,
    )
    trainer.validated(result)
    return result


def validate(trainer: Training, recorder: Recorder) -> None:
    """Validation scores of the present network, as scalars of the log."""
    step = trainer.done - 1
    write_scores(
        recorder, step, "validation", validation_scores(trainer, answers_to(recorder, step, "validation"))
    )
    write_scores(recorder, step, "train", training_scores(trainer))


def training_scores(trainer: Training) -> dict[str, float]:
    """The joint NLL of training examples with as many draws as validation takes: what validation is held
    against to see overfitting. Batches have fewer draws, and the network moves while theirs is averaged.
    """
    found = scores(
        trainer.trained,
        trainer.task,
        "train",
        VALIDATION_DRAWS,
        trainer.config.seed,
        TRAINING_POSITIONS if isinstance(trainer, SequenceTrainer) else TRAINING_EXAMPLES,
        crps=False,
    )
    return {"nll_joint": found["nll_joint"]}


def answers_to(recorder: Recorder, step: int, split: str) -> Callable[[Answers], None]:
    """Where a classifier's answers to a split at a step go: into the log."""

    def write(answers: Answers) -> None:
        recorder.class_probabilities(
            step, answers.probability, answers.y, split, conditional_entropy=answers.conditional_entropy
        )

    return write


def write_scores(recorder: Recorder, step: int, split: str, result: dict[str, Any]) -> None:
    """Scores as scalars: coverage {"80": x} becomes coverage_80, the living share of layer 1 living_share_1;
    None is left out.
    """
    for name, value in result.items():
        parts = (
            value.items()
            if isinstance(value, dict)
            else enumerate(value, 1)
            if isinstance(value, list)
            else [("", value)]
        )
        for part, number in parts:
            if number is not None:
                recorder.scalar(step, f"{name}_{part}" if part else name, number, split=split)


def layer_list(config: Config) -> list[LayerInfo]:
    """The manifest's layers; a twin's have no prior, and nothing is recorded of them."""
    prior = "none" if config.twin else config.prior
    return [
        LayerInfo(
            name=f"layer {index + 1}", neurons=config.neurons, latent_dim=config.latent_dim, prior=prior
        )
        for index in range(config.layers)
    ]


def train(config: Config, run: Path, report: Report | None = None) -> dict[str, Any]:
    """Trains a run from its resolved configuration and tests it.

    Parameters
    ----------
    config
        The configuration.
    run
        Folder of the run, made if missing; or its URL in a store (docs/scale.md).
    report
        Is called with a `Progress` every PROGRESS_SECONDS or so.

    Returns
    -------
    dict
        {"status"}: "finished" or "interrupted"; of a finished one also what `vdn.evaluate.evaluate` returns.

    Raises
    ------
    ConfigError, DataError
        Before anything is written.
    DivergedError
        As for `fit`; the run's status is then "crashed".
    """
    task = load(config)
    config = fit_probe_batch(config, task)
    trainer = make_trainer(config, task)
    if ranks.keeps_log():
        say_what_was_read(task)
    precision = cast("Precision", config.precision)  # Config has looked at it
    kept = dataclasses.asdict(config) | {DATA_FILE: identity(config, task)}
    if ranks.count() > 1:
        kept[ranks.RANKS] = ranks.count()
    with (
        _threads(config.threads),
        _log(lambda: Recorder(run, layer_list(config), kept, precision)) as recorder,
    ):
        here = recorder.path if ranks.keeps_log() else run  # of a run in a store its spool
        return conclude(trainer, recorder, here, *fit(trainer, recorder, here, report), report)


def resume(
    run: Path,
    report: Report | None = None,
    data: str | None = None,
    changed: bool = False,
    reading: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Continues a run from its checkpoint as if it had not stopped; rows of the log beyond it are set aside.

    Parameters
    ----------
    run
        Folder of the run.
    report
        As for `train`.
    data, changed, reading
        As for `vdn.data.load_known`.

    Returns
    -------
    dict
        As `train`.

    Raises
    ------
    ConfigError
        When the run has no full checkpoint or is finished; of one that was stopped before its first, with the
        command that starts it anew.
    DataError
        When its data is gone or another.
    RunError
        When there is no run.
    DivergedError
        As for `train`.
    """
    here = _here(run)
    if not (here / CHECKPOINT).exists():
        raise ConfigError(_nothing_to_resume(run))
    state = load_checkpoint(here)
    config, task = load_data(state, data, changed, reading)
    trainer = make_trainer(config, task)
    trainer.restore(state)
    if Run(here).status == "finished":
        raise ConfigError(f"{run} is finished: all {trainer.last} steps are done")
    if ranks.keeps_log():
        say_what_was_read(task)
    with _threads(config.threads), _log(lambda: Recorder.resume(run, trainer.done - 1)) as recorder:
        return conclude(trainer, recorder, here, *fit(trainer, recorder, here, report), report)


def _here(run: Path) -> Path:
    """Where a run's checkpoint lies: in its folder, of a run in a store in the spool of this machine."""
    return spool_folder(open_folder(run).root) if is_store(run) else run


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads of the CPU, 0 torch's choice; afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _log(make: Callable[[], Recorder]) -> Any:
    """The log, of several processes on rank 0 alone."""
    return make() if ranks.keeps_log() else ranks.Silence()


def _nothing_to_resume(run: Path) -> str:
    """Why a run without a checkpoint has none, and what to do."""
    if is_store(run):
        return (
            f"{open_folder(run).root} has no checkpoint in {_here(run)}: checkpoints stay on the machine that"
            " trained; resume it there"
        )
    log = Run(run)
    if "data" not in log.config:
        return f"{run} was not made by `python -m vdn train`: its checkpoints are with who trained it"
    config = from_dict({name: value for name, value in log.config.items() if name not in FURTHER})
    ended = "is running, or was killed just now," if log.status == "running" else "was stopped"
    folder = free_folder(run)
    words = shlex.join(["python", "-m", "vdn", "train", *command_words(config), f"--out={folder}"])
    return (
        f"{run} {ended} before its first checkpoint, which is written after {config.validate_every} steps:"
        f" there is nothing to resume; start anew with {words}"
    )


def conclude(
    trainer: Training,
    recorder: Recorder,
    run: Path,
    status: FinalStatus,
    last: Progress,
    report: Report | None = None,
) -> dict[str, Any]:
    """Tests a finished training and closes the log; an interrupted one is only closed.

    Parameters
    ----------
    trainer, recorder, run
        As for `fit`.
    status
        How training ended.
    last
        The state it ended in, of which the test's progress is a copy.
    report
        As for `train`.

    Returns
    -------
    dict
        {"status"} and, of a finished one, what `vdn.evaluate.evaluate` returns for it.
    """
    summary: dict[str, Any] = {"status": status}
    if status == "finished":
        config, step = trainer.config, trainer.done - 1
        trainer.take_best()
        summary["weights"] = trainer.selection.told(trainer.done)

        def tested(done: int, count: int) -> None:
            if report is not None:
                report(dataclasses.replace(last, tested=done, to_test=count))

        summary["model"], pooled = network_scores(
            trainer.trained,
            trainer.task,
            "test",
            config.test_draws,
            config.seed,
            tested,
            answers_to(recorder, step, "test"),
            lambda found: recorder.origin_scores(
                step, "test", found.origin, found.target, found.span, **found.scores
            ),
        )
        if not ranks.keeps_log():
            return summary
        for layer, statistics in enumerate(pooled):
            recorder.evaluation(step, "test", layer, **statistics)
        twin = None if config.twin else find_twin(run, config)
        try:
            with ranks.apart():
                summary["twin"] = evaluate(twin)["model"] if twin is not None else None
        except DataError as error:  # the run's own scores are not lost over it
            summary["twin"] = None
            logging.getLogger("vdn").warning("the twin %s is left out: %s", twin, error)
        summary["baselines"] = baselines(trainer.task.to(torch.device("cpu")), "test")
        write_scores(recorder, step, "test", summary["model"] | {WEIGHTS_STEP: summary["weights"]["step"]})
        for name, values in summary["baselines"].items():
            write_scores(recorder, step, f"test {name}", values)
        if isinstance(trainer, SequenceTrainer):
            prompt = beginning(trainer.network, trainer.sequences, "test")
            made_with = {"length": CONTINUED, "trajectories": TRAJECTORIES, "seed": config.seed}
            tables = continuation_tables(
                trainer.network, trainer.sequences, prompt, CONTINUED, TRAJECTORIES, config.seed
            )
            store.save(run, NAME, tables, {"step": step, "split": "test", **made_with})
    recorder.close(status=status)
    return summary
