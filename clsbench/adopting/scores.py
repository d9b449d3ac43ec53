"""What a foreign graph gives: which output holds a score a class, and of which kind; found by running it on photos."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.adopting.description import MAX_CLASSES
from clsbench.adopting.score_kinds import Kind, kind_of, say_the_same, sums_to_one
from clsbench.errors import ModelError
from clsbench.text import some

#: Probabilities are held to at least this before their logarithm is taken: the least normal float32, 2**-126.
LEAST = float(np.finfo(np.float32).tiny)

#: Names of outputs, without what stands around them, from the likeliest on.
_SCORE_NAMES = ("logits", "scores", "output", "output0", "probs", "probabilities", "prob", "softmax", "predictions")
_FEATURE_NAMES = re.compile(r"embed|feature|pooled|pooler|hidden|latent", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The output with the scores.

    Args:
        output: Its name.
        kind: What the numbers are.
        count: Numbers an image; K, or 1 for two classes.
        features: Another output that describes an image, by its name; None without one.
        feature_dim: Numbers of it an image; 0 without one.
        others: Outputs that are left out.
    """

    output: str
    kind: Kind
    count: int
    features: str | None = None
    feature_dim: int = 0
    others: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """K."""
        return max(self.count, 2)


def find_scores(
    probes: Mapping[str, Sequence[NDArray[Any]]],
    graph: Any,
    file: Path,
    *,
    classes: int | None,
    asked: str | None = None,
) -> Scores:
    """Find the scores among the outputs.

    Args:
        probes: Output -> what it gave for each of several images.
        graph: The GraphProto.
        file: For messages.
        classes: K where it is known.
        asked: The output that the user named.

    Raises:
        ModelError: if no output has a score a class: a detector, a segmenter, an embedding, tags that do not exclude
            each other; or several could be meant.
    """
    if asked is not None and asked not in probes:
        raise ModelError("the graph has no such output", where=file, got=asked, expected=some(sorted(probes), 8))
    rows = {name: found for name, arrays in probes.items() if (found := _rows(arrays)) is not None}
    usable = {name: found for name, found in rows.items() if asked in (None, name)}
    if not usable:
        got = some([f"{name} {probes[name][0].dtype} {probes[name][0].shape}" for name in probes], 4)
        raise ModelError(
            "no output of the graph has a score a class", where=file, got=got,
            expected="(N, K) or (N, K, 1, 1) of floats",
            hint="a detector or segmenter is no classifier; of a classifier, export the scores as an output",
            code="CB-M006",
        )  # fmt: skip
    if broken := [name for name, found in usable.items() if not np.isfinite(found).all()]:
        raise ModelError(
            "the graph gives numbers that are not finite", where=file, got=f"output {broken[0]}, on photos",
            hint="export it in float32",
        )  # fmt: skip
    name = asked or _choose(usable, classes, file)
    _refuse_embedding(name, usable[name], classes, file)
    kind = kind_of(usable[name], graph, name, file)
    described = [other for other in rows if other != name and _FEATURE_NAMES.search(other)]
    features = next((other for other in described if np.isfinite(rows[other]).all() and rows[other].shape[1] > 1), None)
    return Scores(
        output=name,
        kind=kind,
        count=usable[name].shape[1],
        features=features,
        feature_dim=rows[features].shape[1] if features else 0,
        others=tuple(other for other in probes if other not in (name, features)),
    )


def to_logits(scores: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """Scores float32 (n, K), or (n, 1) -> logits float32 (n, K): their softmax are the probabilities."""
    if kind in ("logits", "log-probabilities"):
        return scores
    if kind == "logit":
        return np.concatenate([np.zeros_like(scores), scores], axis=1)
    whole = scores if kind == "probabilities" else np.concatenate([1 - scores, scores], axis=1)
    return np.log(np.maximum(whole, np.float32(LEAST)))


def _rows(arrays: Sequence[NDArray[Any]]) -> NDArray[np.float64] | None:
    """float (images, K) of an output with one number a class; None of any other."""
    first = arrays[0]
    lengths = [side for side in first.shape[1 if first.ndim > 1 else 0 :] if side != 1]
    fits = first.dtype.kind == "f" and 0 < first.size <= MAX_CLASSES
    fits = fits and len(lengths) <= 1 and first.ndim in (1, 2, 4)
    if not fits or any(array.shape != first.shape for array in arrays) or (first.ndim > 1 and len(first) != 1):
        return None
    return np.stack([array.reshape(-1) for array in arrays]).astype(np.float64)


def _choose(usable: Mapping[str, NDArray[np.float64]], classes: int | None, file: Path) -> str:
    """The output to take where the user named none."""
    fitting = {name for name, rows in usable.items() if classes in (None, max(rows.shape[1], 2))} or set(usable)
    plain = {name for name in fitting if not _FEATURE_NAMES.search(name)} or fitting
    ranked = sorted(plain, key=lambda name: _rank(name, usable[name]))
    best = ranked[0]
    if all(say_the_same(usable[best], usable[name]) for name in ranked):
        return best
    named = [name for name in ranked if _short(name) in _SCORE_NAMES]
    if not named or not all(say_the_same(usable[named[0]], usable[name]) for name in named):
        got = some([f"{name} ({usable[name].shape[1]} numbers)" for name in ranked], 6)
        raise ModelError(
            "several outputs of the graph could be the scores", where=file, got=got, hint="name one with --output"
        )
    return named[0]


def _rank(name: str, rows: NDArray[np.float64]) -> tuple[bool, int, str]:
    """Logits before probabilities, from which they cannot be had without loss; then by name."""
    short = _short(name)
    position = _SCORE_NAMES.index(short) if short in _SCORE_NAMES else len(_SCORE_NAMES)
    return sums_to_one(rows), position, name


def _short(name: str) -> str:
    """A name without scope and number: ``StatefulPartitionedCall/probs:0`` is probs."""
    return name.rsplit("/", 1)[-1].split(":")[0].lower()


def _refuse_embedding(name: str, rows: NDArray[np.float64], classes: int | None, file: Path) -> None:
    """Refuse an output that describes an image instead of classifying it."""
    count = rows.shape[1]
    unit = count > 2 and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3) and (rows < -1e-3).any()
    if unit or (_FEATURE_NAMES.search(name) and classes != count):
        reason = "rows of length 1" if unit else "by its name"
        raise ModelError(
            "the graph gives an embedding, and no score a class", where=file, got=f"{name}: {count} numbers, {reason}",
            expected="a classifier", hint="export the network with its classification head", code="CB-M006",
        )  # fmt: skip
