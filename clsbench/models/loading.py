"""Tensors by name into a classifier, whoever named them, and what came of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.errors import ModelError
from clsbench.text import counted, some

if TYPE_CHECKING:
    from torch import Tensor

    from clsbench.models.classifier import Classifier

#: The part of the backbone's numbers, and of those in the file, that has to fit: less is another network.
ENOUGH = 0.75

#: Counters of batches, which older files lack; torch itself does without them.
COUNTER = ".num_batches_tracked"


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What a network took from a weights file.

    Args:
        file: The file's name.
        loaded, expected: Number of the backbone's tensors that were loaded, and of all that it has.
        head: Whether the head was loaded.
        head_reason: Why, or why not.
        prefix: What stood before the names in the file, such as ``module.``.
        missing: Tensors of the backbone that the file does not have.
        misshapen: Those it has with another shape, both shapes added.
        unexpected: Tensors among the network's in the file for which the network has no place.
        outside: Number of tensors elsewhere in the file, such as those of a loss.
        run: Of a run's own weights, the run's name.
        run_recipe: And the recipe it was trained by.
        transform_change: And how the preprocessing is not that run's any more.
        head_tensors: The file's head, by clsbench's names.
    """

    file: str
    loaded: int
    expected: int
    head: bool
    head_reason: str
    prefix: str = ""
    missing: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    outside: int = 0
    run: str | None = None
    run_recipe: str | None = None
    transform_change: tuple[str, ...] = ()
    head_tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """Whether the whole backbone came from the file, and nothing of the file's backbone was left over."""
        return not (self.missing or self.misshapen or self.unexpected)

    def __str__(self) -> str:
        where = f" of run {self.run}" if self.run else f", under '{self.prefix}'" if self.prefix else ""
        facts = [
            f"{self.loaded:,} of the backbone's {counted(self.expected, 'tensor')} ({self.file}{where})",
            f"the head {'too' if self.head else 'is new'}: {self.head_reason}",
        ]
        if self.run:
            facts.append(f"preprocessing {'; '.join(self.transform_change) or 'as in that run'}")
        return "\n  ".join([*facts, *self.left_out()])

    def left_out(self) -> list[str]:
        """One line for each reason why tensors were not loaded."""
        reasons = {
            "not in the file": self.missing,
            "of another shape": self.misshapen,
            "without a place": self.unexpected,
        }
        facts = [f"{len(names)} {why}: {some(names, 3)}" for why, names in reasons.items() if names]
        return facts + ([f"{counted(self.outside, 'tensor')} elsewhere in the file"] if self.outside else [])

    def to_json(self) -> dict[str, Any]:
        """Plain values, for run.json."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "head_tensors"]
        values = {name: getattr(self, name) for name in names}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}


def load_state(classifier: Classifier, state: Mapping[str, Tensor], *, head: str, where: object) -> bool:
    """Load weights into a classifier by name: the backbone as far as it fits, the head only as a whole.

    Args:
        classifier: Gets the weights; its ``loaded`` then says what was and was not loaded.
        state: Tensors by clsbench's names (``backbone.…``, ``head.…``) or by the names of
            the original network, in which the last layer is called ``head``; any prefix
            may stand before them, such as ``model.`` or ``module.``.
        head: The name of the last layer in the original network, for example ``fc``.
        where: The file, for messages.

    Returns:
        Whether the head was loaded; False where it is another head, or for another number of classes.

    Raises:
        ModelError: if less than three quarters of the backbone's or of the file's numbers fit; nothing is loaded then.
    """
    wanted = classifier.state_dict()
    names, prefix = _naming(wanted, state, head)
    found, outside = _renamed(state, names, prefix, head)
    fitting = {n: t for n, t in found.items() if n in wanted and wanted[n].shape == t.shape}
    own_head, their_head = ({n: t for n, t in s.items() if n.startswith("head.")} for s in (wanted, found))
    head_fits = own_head.keys() <= fitting.keys()
    loaded = {n: t for n, t in fitting.items() if head_fits or not n.startswith("head.")}
    theirs = {ours: name for name, ours in names.items()}
    body = [n for n in wanted if n.startswith("backbone.")]
    report = LoadReport(
        file=Path(str(where)).name,
        loaded=sum(n in fitting for n in body),
        expected=sum(n in found or not n.endswith(COUNTER) for n in body),
        head=head_fits,
        head_reason=_head_reason(own_head, their_head, head_fits),
        prefix=prefix,
        missing=tuple(theirs[n] for n in body if n not in found and not n.endswith(COUNTER)),
        misshapen=tuple(f"{theirs[n]} {_change(found[n], wanted[n])}" for n in body if n in found and n not in fitting),
        unexpected=tuple(n.removeprefix("backbone.") for n in found if n not in wanted and not n.startswith("head.")),
        outside=outside,
        head_tensors=their_head,
    )
    size = sum(fitting[n].numel() for n in body if n in fitting)
    _refuse_another_network(report, [wanted[n] for n in body], found, size, where)
    wanted.update(loaded)  # torch's own dictionary, with the versions of its modules
    classifier.load_state_dict(wanted)
    classifier.loaded = report
    return head_fits


def load_head(classifier: Classifier, report: LoadReport) -> None:
    """Load the file's head into one that was made after the backbone was loaded, if it fits; ``loaded`` says so."""
    own, theirs = classifier.head.state_dict(prefix="head."), report.head_tensors
    fits = own.keys() == theirs.keys() and all(own[n].shape == theirs[n].shape for n in own)
    if fits:
        classifier.head.load_state_dict({n.removeprefix("head."): t for n, t in theirs.items()})
    classifier.loaded = dataclasses.replace(
        report, head=fits, head_reason=_head_reason(own, theirs, fits, known=report.run is not None)
    )


def _naming(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], head: str) -> tuple[dict[str, str], str]:
    """(names in the file -> ours, prefix before them), with the names, clsbench's or the original's, that fit best."""
    original = {
        f"{head}.{name[5:]}" if name.startswith("head.") else name.removeprefix("backbone."): name for name in wanted
    }
    best: tuple[tuple[int, int, int], dict[str, str], str] = ((0, 0, 0), original, "")
    for names in ({name: name for name in wanted}, original):
        matches: Counter[str] = Counter()
        for key, tensor in state.items():
            for start in (0, *(k + 1 for k, c in enumerate(key) if c == ".")):
                ours = names.get(key[start:])
                if ours is not None:
                    # A name alone says something, the shape more.
                    matches[key[:start]] += 1 + 2 * (wanted[ours].shape == tensor.shape)
        for prefix, count in matches.items():
            rank = (count, names is not original, -len(prefix))
            if rank > best[0]:
                best = (rank, names, prefix)
    return best[1], best[2]


def _renamed(
    state: Mapping[str, Tensor], names: Mapping[str, str], prefix: str, head: str
) -> tuple[dict[str, Tensor], int]:
    """(the tensors under the prefix by our names, how many lie elsewhere)."""
    ours = all(name == our for name, our in names.items())
    found = {}
    for key, tensor in state.items():
        if not key.startswith(prefix):
            continue
        name = key[len(prefix) :]
        if name in names or ours:
            found[names.get(name, name)] = tensor
        elif name.startswith(f"{head}."):
            found[f"head.{name[len(head) + 1 :]}"] = tensor
        else:
            found[f"backbone.{name}"] = tensor
    return found, len(state) - len(found)


def _refuse_another_network(
    report: LoadReport, backbone: Sequence[Tensor], found: Mapping[str, Tensor], fitting: int, where: object
) -> None:
    theirs = [t for name, t in found.items() if not name.startswith("head.")]
    size = max(1, *(sum(t.numel() for t in tensors) for tensors in (backbone, theirs)))
    if fitting < ENOUGH * size:
        few = f"{report.loaded:,} of {counted(len(theirs), 'tensor')} fit, {fitting / size:.0%} of the numbers"
        own = f"the backbone's {counted(report.expected, 'tensor')}"
        raise ModelError(
            "the weights are those of another network",
            where=where,
            got="; ".join([few, *report.left_out()]),
            expected=f"{ENOUGH:.0%} or more of the numbers of the file and of {own}",
            hint="check --model and its options",
            code="CB-M010",
        )


def _head_reason(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], fits: bool, *, known: bool = False) -> str:
    rows, there = _outputs(own), _outputs(theirs)
    if fits and known:
        return "the classes are the same"
    if fits:
        return f"it is for {counted(rows, 'class')} as well; whether they are the same ones is not known"
    if not theirs:
        return "the file has none"
    if rows != there:
        return f"the file's is for {counted(there, 'class')}, not {rows:,}"
    return f"the file's is of another kind ({some([n.removeprefix('head.') for n in theirs], 4)})"


def _outputs(head: Mapping[str, Tensor]) -> int:
    """The number of classes of a head: the rows of its last weight."""
    return next((int(t.shape[0]) for t in reversed(list(head.values())) if t.ndim >= 1), 0)


def _change(theirs: Tensor, ours: Tensor) -> str:
    return f"{tuple(theirs.shape)}, not {tuple(ours.shape)}"
