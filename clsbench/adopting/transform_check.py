"""What ``adopt --check`` finds: candidate transforms, the best first."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clsbench.adopting.candidate_scores import Difference, ImageScores, difference, p_worse
from clsbench.adopting.candidates import Candidate
from clsbench.predictions.values import Proportion
from clsbench.text import counted
from clsbench.transform import ImageTransform


@dataclass(frozen=True, kw_only=True)
class CheckedCandidate:
    """A transform and how the network does with it.

    Args:
        name: For people.
        transform: What was tried.
        images: How many images it was tried on: fewer than others if these showed that it is worse.
        accuracy: With its 95 % Wilson interval; None without labels.
        difference: To the best, on these images: of accuracy (paired bootstrap), without labels of mean confidence.
        log_loss: Mean of -ln p(label), nats; None without labels.
        mean_confidence: Mean probability of the best class.
        mean_entropy: Mean entropy of the probabilities, nats.
        best_or_equal: Whether it is the best, or not shown to be worse.
    """

    name: str
    transform: ImageTransform
    images: int
    accuracy: Proportion | None
    difference: Difference
    log_loss: float | None
    mean_confidence: float
    mean_entropy: float
    best_or_equal: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values; fractions and nats."""
        return {
            "name": self.name,
            "transform": self.transform.to_json(),
            "images": self.images,
            "accuracy": self.accuracy and self.accuracy.to_json(),
            "difference": asdict(self.difference),
            "log_loss": self.log_loss,
            "mean_confidence": self.mean_confidence,
            "mean_entropy": self.mean_entropy,
            "best_or_equal": self.best_or_equal,
        }


def checked(candidate: Candidate, scores: ImageScores, best: ImageScores, *, limit: float | None) -> CheckedCandidate:
    """What is said of a candidate.

    Args:
        candidate: The transform.
        scores: What it reached.
        best: What the best reached.
        limit: The level of each test against the best; None where one has shown already that this one is worse.
    """
    hits, losses = scores.hits, scores.losses
    same = scores is best
    return CheckedCandidate(
        name=candidate.name,
        transform=candidate.transform,
        images=len(scores),
        accuracy=None if hits is None else Proportion.of(int(np.count_nonzero(hits)), len(hits)),
        difference=Difference(0.0, 0.0, 0.0) if same else difference(best, scores),
        log_loss=None if losses is None else float(losses.mean()),
        mean_confidence=float(scores.confidences.mean()),
        mean_entropy=float(scores.entropies.mean()),
        best_or_equal=same or (limit is not None and p_worse(best, scores) >= limit),
    )


@dataclass(frozen=True, kw_only=True)
class TransformCheck:
    """Candidate transforms that a network was tried with.

    Args:
        candidates: The best first. Those that were shown to be worse before all images were read come last.
        labelled: Whether the order is by accuracy, then log loss; else by mean confidence, which is only a hint.
        images: How many images the best was judged on.
        available: How many there were to choose from.
        unreadable: How many of those chosen could not be read, and are in no number.
    """

    candidates: tuple[CheckedCandidate, ...]
    labelled: bool
    images: int
    available: int
    unreadable: int

    @property
    def best(self) -> CheckedCandidate:
        """The first."""
        return self.candidates[0]

    @property
    def equal(self) -> tuple[CheckedCandidate, ...]:
        """The others that are not shown to be worse than the best."""
        return tuple(found for found in self.candidates[1:] if found.best_or_equal)

    @property
    def verdict(self) -> str:
        """What the images say, in a plain sentence or two."""
        if not self.labelled:
            surest = f"The network is surest with {self.best.name}, of {counted(len(self.candidates), 'candidate')}"
            return f"{surest}. Without labels this is only a hint: a network can be sure and wrong."
        others = f"{counted(len(self.equal), 'other')} {'is' if len(self.equal) == 1 else 'are'} not shown to be worse"
        if not self.equal:
            others = "every other is shown to be worse" if len(self.candidates) > 1 else "it is the only one"
        return f"{self.best.name} is the best of {len(self.candidates):,}; {others}."

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the verdict."""
        return {
            "labelled": self.labelled,
            "criterion": "accuracy, then log loss" if self.labelled else "mean confidence (only a hint)",
            "images": self.images,
            "available": self.available,
            "unreadable": self.unreadable,
            "verdict": self.verdict,
            "candidates": [found.to_json() for found in self.candidates],
        }
