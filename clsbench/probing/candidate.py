"""A backbone to probe: what builds it, what it is called, and what is found about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench.predictions.values import Proportion
from clsbench.run_record import RunModel

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier
    from clsbench.probing.speed import Speed

#: What to do where published weights cannot be had.
WEIGHTS = "NAME:weights=FILE takes weights from a local file, NAME:pretrained=false random ones"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A backbone to probe.

    Args:
        name: As tables call it, unlike any other's.
        build: Builds the network for so many classes.
        model: What builds it: name, distribution, version and options, without where weights come from.
        pretrained: Whether it has weights from training.
        words: Options of ``train`` that take the same network: ``("--model", "resnet18", "--pretrained")``.
        guard: Within, the errors of a plugin's network are its plugin's.
    """

    name: str
    build: Callable[[int], Classifier]
    model: RunModel
    pretrained: bool
    words: tuple[str, ...]
    guard: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What was found about a backbone.

    Args:
        candidate: It.
        linear: int64 (N,): what the linear head said of each image when it was held out; -1 where it was not readable.
        neighbours: The same of the nearest neighbours.
        strengths: C of the linear head in each fold.
        unconverged: Folds whose head used up its iterations.
        parameters: Of the backbone.
        feature_dim: D.
        speed: Measured.
        evaluated: Images that the backbone was evaluated on in this call, all views counted.
        feature_seconds: That this took; of kept features, what it took when they were made.
        head_seconds: Of fitting and judging both heads.
        unreadable: Names of images that could not be read, with the reason.
    """

    candidate: Candidate
    linear: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    strengths: tuple[float, ...]
    unconverged: int
    parameters: int
    feature_dim: int
    speed: Speed
    evaluated: int
    feature_seconds: float
    head_seconds: float
    unreadable: Mapping[str, str]

    @property
    def kept(self) -> bool:
        """Whether all features were there from an earlier call."""
        return self.evaluated == 0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A backbone in the table.

    Args:
        rank: 1 + the number of backbones that are shown to be better.
        linear, neighbours: Accuracy on held-out images.
        probed: The rest.
    """

    rank: int
    linear: Proportion
    neighbours: Proportion
    probed: Probed

    @property
    def name(self) -> str:
        """Of the backbone."""
        return self.probed.candidate.name

    def to_json(self) -> dict[str, Any]:
        """Plain values; accuracies with their 95% Wilson intervals."""
        found, candidate = self.probed, self.probed.candidate
        return {
            "rank": self.rank,
            "name": self.name,
            "model": candidate.model.name,
            "distribution": candidate.model.distribution,
            "version": candidate.model.version,
            "options": dict(candidate.model.options),
            "pretrained": candidate.pretrained,
            "linear": self.linear.to_json(),
            "knn": self.neighbours.to_json(),
            "strengths": list(found.strengths),
            "unconverged_folds": found.unconverged,
            "parameters": found.parameters,
            "feature_dim": found.feature_dim,
            "speed": asdict(found.speed),
            "evaluated": found.evaluated,
            "feature_seconds": found.feature_seconds,
            "head_seconds": found.head_seconds,
        }
