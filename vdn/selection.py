"""Which weights of a training are kept: those with the best validation score, and when to stop looking."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

Weights = Literal["best", "last"]
WEIGHTS: tuple[Weights, ...] = ("best", "last")
TIES = ("crps", "brier")  # what decides between equal likelihoods, the first that there is


class Selection:
    """The best validation of a training so far, its weights, and whether patience has run out.

    Better is a lower joint NLL; of equal ones a lower CRPS, of classes a lower Brier score. A score that is
    no number is never better.

    Parameters
    ----------
    patience
        Validations in a row without a better one after which training ends; 0: it never does.
    """

    def __init__(self, patience: int = 0) -> None:
        self.patience = patience
        self.best: dict[str, Any] | None = None
        """score (nats a number), tie, step (optimiser steps done), model (weights) of the best validation."""
        self.since = 0
        """Validations since the best one."""
        self.ended: int | None = None
        """Optimiser steps done when patience ran out."""

    def validated(self, step: int, scores: dict[str, Any], weights: dict[str, Tensor]) -> bool:
        """Takes note of a validation.

        Parameters
        ----------
        step
            Optimiser steps done.
        scores
            As `vdn.evaluate.scores` names them.
        weights
            What was scored; copied if it is the best.

        Returns
        -------
        bool
            Whether it is the best so far.
        """
        tie = next((float(scores[name]) for name in TIES if name in scores), 0.0)
        found = (float(scores["nll_joint"]), tie)
        better = found[0] == found[0] if self.best is None else found < (self.best["score"], self.best["tie"])
        if better:
            model = {name: value.detach().clone() for name, value in weights.items()}
            self.best = {"score": found[0], "tie": tie, "step": step, "model": model}
            self.since = 0
            return True
        self.since += 1
        if self.patience and self.since >= self.patience and self.ended is None:
            self.ended = step
        return False

    def told(self, done: int) -> dict[str, Any]:
        """Whose scores are shown.

        Parameters
        ----------
        done
            Optimiser steps done.

        Returns
        -------
        dict
            {"which": "best" or "last", "step": after how many optimiser steps}.
        """
        return (
            {"which": "last", "step": done}
            if self.best is None
            else {"which": "best", "step": self.best["step"]}
        )

    def state(self) -> dict[str, Any]:
        """What resuming needs beside the weights."""
        found = {name: self.best[name] for name in ("score", "tie", "step")} if self.best else {}
        return found | {"since": self.since, "ended": self.ended}

    def restore(self, state: dict[str, Any], model: dict[str, Tensor] | None) -> None:
        """Takes up where `state` was written.

        Parameters
        ----------
        state
            As `state` returned it.
        model
            The best weights.
        """
        self.since, self.ended = state["since"], state["ended"]
        known = model is not None and "score" in state
        self.best = (
            {name: state[name] for name in ("score", "tie", "step")} | {"model": model} if known else None
        )
