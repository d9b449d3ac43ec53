"""What the facts say, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clsbench.evaluation.report.formats import count, fixed, name, percent, things
from clsbench.evaluation.report.found import find

#: Intervals wider than this deserve a word.
WIDE = 0.1

#: The gap between confidence and accuracy that is worth a warning.
GAP = 0.02


def sentences(facts: Mapping[str, Any]) -> list[str]:
    """Answers to: is it good enough, where does it fail, can its confidence be trusted.

    Args:
        facts: From :func:`clsbench.evaluation.judging.evaluate`.

    Returns:
        A few sentences of plain text; names of classes in “ ”.
    """
    parts = (_accuracy, _left_out, _weakest, _confused, _calibration, _automation, _labels)
    return [sentence for part in parts for sentence in part(facts)]


def _accuracy(facts: Mapping[str, Any]) -> Iterator[str]:
    found = find(facts, "top1")
    if not found.there:
        yield f"The accuracy is not known: {found.reason}."
        return
    top1 = found.value
    yield (
        f"{count(top1['correct'])} of {things(top1['total'], 'image')} are classified correctly. On images of this "
        f"kind the accuracy lies between {percent(top1['low'])} and {percent(top1['high'])} (95 % interval)."
    )
    if top1["high"] - top1["low"] > WIDE:
        yield "That is a wide range, because the images are few: four times as many would halve it."


def _left_out(facts: Mapping[str, Any]) -> Iterator[str]:
    counts = facts["counts"]
    if errors := counts["errors"]:
        yield f"{things(errors, 'image')} could not be classified, and {_are(errors)} not counted in any number here."
    if unlabelled := counts["total"] - counts["labelled"]:
        yield f"{things(unlabelled, 'image')} of {count(counts['total'])} {_have(unlabelled)} no label."


def _weakest(facts: Mapping[str, Any]) -> Iterator[str]:
    found = find(facts, "per_class")
    present = [(key, row) for key, row in (found.value or {}).items() if row["support"]]
    if len(present) < 2:
        return
    key, row = min(present, key=lambda item: item[1]["f1"])
    if row["f1"] < 1:
        yield (
            f"The weakest class is “{name(key)}”, with F1 {fixed(row['f1'])}: "
            f"{percent(row['recall'])} of its {things(row['support'], 'image')} {_are(row['support'])} found."
        )
    if absent := len(found.value) - len(present):
        yield f"{things(absent, 'class', 'classes')} of {count(len(found.value))} {_have(absent)} no labelled image."


def _confused(facts: Mapping[str, Any]) -> Iterator[str]:
    found = find(facts, "confused_pairs")
    if found.there and found.value["pairs"]:
        pair = found.value["pairs"][0]
        yield (
            f"The most frequent mistake: “{name(pair['label'])}” taken for “{name(pair['predicted'])}”, "
            f"{things(pair['count'], 'time')} ({percent(pair['share'])} of its images)."
        )


def _calibration(facts: Mapping[str, Any]) -> Iterator[str]:
    found = find(facts, "reliability")
    if not found.there:
        return
    total = sum(row["count"] for row in found.value)
    gap = sum(row["count"] * (row["confidence"] - row["accuracy"]) for row in found.value) / total
    if abs(gap) < GAP:
        yield f"On average its confidence is within {abs(gap) * 100:.1f} percentage points of its accuracy."
        return
    direction = "too sure of itself: its confidence is" if gap > 0 else "not sure enough of itself: its confidence is"
    relation = "above" if gap > 0 else "below"
    yield f"It is {direction} {abs(gap) * 100:.1f} percentage points {relation} its accuracy on average."


def _automation(facts: Mapping[str, Any]) -> Iterator[str]:
    found = find(facts, "coverage_for_accuracy")
    if not found.there:
        return
    reached = [row for row in found.value if row["threshold"] is not None]
    if not reached:
        lowest = min(row["target"] for row in found.value)
        yield f"No confidence from which on it is right for {lowest:.0%} of the images."
        return
    best = max(reached, key=lambda row: row["target"])
    yield (
        f"{percent(best['coverage'])} of the images can be decided at {best['target']:.0%} accuracy: "
        f"those with a confidence of {fixed(best['threshold'])} or more."
    )


def _labels(facts: Mapping[str, Any]) -> Iterator[str]:
    found = find(facts, "label_errors")
    if found.there and found.value["found"]:
        suspects, share = found.value["found"], percent(found.value["share"])
        yield f"{things(suspects, 'label')} ({share}) may be wrong and {_are(suspects)} worth a look."


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
