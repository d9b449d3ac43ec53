"""What an evaluation says, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.calibration import Reliability
from clsbench.evaluation.metrics.confusion import ConfusedPairs
from clsbench.evaluation.metrics.coverage import CoverageTargets
from clsbench.evaluation.metrics.label_errors import LabelErrors
from clsbench.evaluation.metrics.per_class import ClassScores, PerClass
from clsbench.evaluation.report.formats import count, fixed, name, percent
from clsbench.predictions.values import Absent, Proportion
from clsbench.text import counted

#: Intervals wider than this deserve a word.
WIDE = 0.1

#: The gap between confidence and accuracy that is worth a warning.
GAP = 0.02


def sentences(evaluation: Evaluation) -> list[str]:
    """Answers to: is it good enough, where does it fail, can its confidence be trusted.

    Returns:
        A few sentences of plain text; names of classes in “ ”.
    """
    parts = (_accuracy, _abstaining, _baseline, _left_out, _weakest, _confused, _calibration, _automation, _labels)
    return [sentence for part in parts for sentence in part(evaluation)]


def _accuracy(evaluation: Evaluation) -> Iterator[str]:
    top1 = evaluation.find("top1", Proportion)
    if isinstance(top1, Absent):
        yield f"The accuracy is not known: {top1.reason}."
        return
    yield (
        f"{count(top1.correct)} of {counted(top1.total, 'image')} {_are(top1.correct)} classified correctly. On images "
        f"of this kind the accuracy lies between {percent(top1.low)} and {percent(top1.high)} (95% interval)."
    )
    if top1.high - top1.low > WIDE:
        yield "That is a wide range because there are few images: four times as many would halve it."


def _abstaining(evaluation: Evaluation) -> Iterator[str]:
    kept, right = evaluation.find("kept", Proportion), evaluation.find("kept_top1", Proportion)
    if isinstance(kept, Absent):
        return
    number = kept.total - kept.correct
    yield f"It abstains from {count(number)} of them, {percent(number / kept.total)}" + (
        f": {right.reason}." if isinstance(right, Absent) else
        f". Of the {count(kept.correct)} that it keeps {percent(right.value)} {_are(right.correct)} right (95% "
        f"interval {percent(right.low)} – {percent(right.high)})."
    )  # fmt: skip


def _baseline(evaluation: Evaluation) -> Iterator[str]:
    found, top1 = evaluation.find("per_class", PerClass), evaluation.find("top1", Proportion)
    if isinstance(found, Absent) or isinstance(top1, Absent) or len(found.present) < 2:
        return
    row = max(found.present, key=lambda row: row.support)
    share = row.support / sum(row.support for row in found.present)
    if top1.low <= share:
        yield (
            f"It is not shown to be better than always answering “{name(row.name)}”, which is right for "
            f"{percent(share)} of them."
        )


def _left_out(evaluation: Evaluation) -> Iterator[str]:
    counts = evaluation.counts
    if counts.errors:
        yield (
            f"{counted(counts.errors, 'image')} could not be classified and {_are(counts.errors)} "
            "not counted in any number here."
        )
    if unlabelled := counts.total - counts.labelled:
        yield f"{count(unlabelled)} of {counted(counts.total, 'image')} {_have(unlabelled)} no label."


def _weakest(evaluation: Evaluation) -> Iterator[str]:
    found, top1 = evaluation.find("per_class", PerClass), evaluation.find("top1", Proportion)
    if isinstance(found, Absent) or len(found.present) < 2:
        return
    mean = found.macro.recall if isinstance(top1, Absent) else top1.value
    weaker = [row for row in found.present if _is_below(row, mean, len(found.present))]
    if weaker:
        row = min(weaker, key=lambda row: row.f1)
        interval = f"95% interval {percent(row.recall_low)} – {percent(row.recall_high)}"
        yield (
            f"The weakest class is “{name(row.name)}”: {percent(row.recall)} of its {counted(row.support, 'image')} "
            f"{_are(row.support)} found ({interval}), with F1 {fixed(row.f1)}."
        )
    elif mean < 1:
        each = counted(round(median(row.support for row in found.present)), "image")
        yield f"No class is shown to be weaker than the others, with a median of {each} a class."
    if absent := len(found.classes) - len(found.present):
        yield f"{count(absent)} of {counted(len(found.classes), 'class')} {_have(absent)} no labelled image."


def _is_below(row: ClassScores, accuracy: float, classes: int) -> bool:
    """Whether chance makes a recall this far below the accuracy, in any of the classes, less often than in 5%.

    The exact binomial test, by Bonferroni for the number of classes.
    """
    from scipy.special import bdtr

    return bool(bdtr(round(row.recall * row.support), row.support, accuracy) < 0.05 / classes)


def _confused(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.find("confused_pairs", ConfusedPairs)
    if isinstance(found, Absent) or not found.pairs:
        return
    pair = found.pairs[0]
    alike = sum(other.count == pair.count for other in found.pairs)
    words = f"“{name(pair.label)}” taken for “{name(pair.predicted)}”"
    if alike == 1:
        share = percent(pair.share)
        yield f"The most frequent mistake: {words}, {counted(pair.count, 'time')} ({share} of its images)."
    else:
        more = "or more " if alike == len(found.pairs) < found.found else ""
        yield (
            f"No mistake stands out: {counted(alike, 'pair')} {more}of classes {_are(alike)} confused "
            f"{counted(pair.count, 'time')} each, such as {words}."
        )


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.find("reliability", Reliability)
    if isinstance(found, Absent):
        return
    points = f"{abs(found.gap) * 100:.1f} percentage points"
    if abs(found.gap) < GAP:
        yield f"On average its confidence is within {points} of its accuracy."
        return
    word, relation = ("overconfident", "above") if found.gap > 0 else ("underconfident", "below")
    accuracy = Proportion.of(sum(round(row.accuracy * row.count) for row in found.rows), found.total)
    if accuracy.low <= accuracy.value + found.gap <= accuracy.high:
        chance = "which chance explains with so few images"
        yield f"On average its confidence is {points} {relation} its accuracy, {chance}."
        return
    yield f"It is {word}: on average its confidence is {points} {relation} its accuracy."


def _automation(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.find("coverage_for_accuracy", CoverageTargets)
    if isinstance(found, Absent):
        return
    reached = [row for row in found.rows if row.row.threshold is not None]
    if not reached:
        lowest = min(row.target for row in found.rows)
        yield f"At no confidence threshold is it right for {lowest:.0%} of the images."
        return
    best = max(reached, key=lambda row: row.target)
    few = ", too few to rely on" if best.row.high - best.row.low > WIDE else ""
    yield (
        f"{percent(best.row.coverage)} of the images can be decided at {best.target:.0%} accuracy: "
        f"those with a confidence of {fixed(best.row.threshold)} or more ({counted(best.row.kept, 'image')}, 95% "
        f"interval of their accuracy {percent(best.row.low)} – {percent(best.row.high)}{few})."
    )


def _labels(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.find("label_errors", LabelErrors)
    if isinstance(found, LabelErrors) and found.found:
        share = f"{percent(found.share)}, 95% interval {percent(found.low)} – {percent(found.high)}"
        yield f"{counted(found.found, 'label')} ({share}) may be wrong and {_are(found.found)} worth checking."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
