"""Predictions as files, read and judged as ``evaluate`` does it, and pages as parsers see them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clsbench.evaluation.judging import METRICS, evaluate
from clsbench.predictions.reading import read_predictions
from clsbench.predictions.table import PredictionTable
from clsbench.testing import installed

BUILT_IN = [(name, installed("metric", name).build()) for name in METRICS]

#: Elements without content, which are never closed.
VOID = {"meta", "link", "img", "input", "br", "hr"}


@dataclass
class Page(HTMLParser):
    """What a parser sees: elements in order, their attributes, the texts between them; each closed properly."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    raw: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {tag} {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"closed and never opened: {tag}"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.raw.setdefault(self._open[-1], []).append(data)
        elif data.strip():
            self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        """Everything that can be read."""
        return "\n".join(self.texts)

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements and the names of their attributes: what names from files must not change."""
        return [(tag, tuple(sorted(attributes))) for tag, attributes in self.elements]

    @property
    def data(self) -> dict[str, Any]:
        """The embedded JSON."""
        values: dict[str, Any] = json.loads(self.raw["script"][0])
        return values


@pytest.fixture
def parse() -> type[Page]:
    """parse(html): a Page; fails where it is not well formed."""
    return Page


@dataclass(frozen=True)
class Judged:
    """A predictions file and its facts."""

    facts: dict[str, Any]
    table: PredictionTable


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Callable[..., Judged]]:
    """judge(classes, rows, manifest=…): write rows of (path, label, {class: probability} or reason) and judge them."""
    with ExitStack() as stack:

        def judged(
            classes: list[str], rows: list[tuple[str, str, Any]], manifest: Mapping[str, Any] | None = None
        ) -> Judged:
            file = tmp_path / "preds.csv"
            with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as lines:
                writer = csv.writer(lines)
                writer.writerow(["path", "label", "predicted", "error", *(f"p:{name}" for name in classes)])
                for path, label, answer in rows:
                    if isinstance(answer, str):
                        writer.writerow([path, label, "", answer, *([""] * len(classes))])
                        continue
                    values = [float(answer.get(name, 0)) for name in classes]
                    writer.writerow([path, label, classes[int(np.argmax(values))], "", *values])
            facts = {"model": {"file": "m.onnx", "card": {"classes": classes}}, **(manifest or {})}
            file.with_name("preds.csv.json").write_text(json.dumps(facts), encoding="utf-8")
            table = stack.enter_context(read_predictions(file))
            return Judged(evaluate(table, BUILT_IN), table)

        yield judged


@pytest.fixture
def measure() -> Callable[[PredictionTable], dict[str, Any]]:
    """measure(table): its facts by the built-in metrics."""
    return lambda table: evaluate(table, BUILT_IN)


@pytest.fixture
def birds(judge: Callable[..., Judged]) -> Judged:
    """Six classes, 300 images of which some four in five are right, one without a label and two unreadable."""
    random = np.random.default_rng(7)
    classes = ["auk", "bittern", "crake", "dipper", "eider", "firecrest"]
    rows: list[tuple[str, str, Any]] = []
    for k in range(300):
        label = int(random.integers(5))
        chances = random.dirichlet(np.full(6, 0.4)) * 0.75
        chances[label] += 0.25
        rows.append((f"{classes[label]}/{k:03d}.jpg", classes[label], dict(zip(classes, chances, strict=True))))
    rows += [("auk/broken.jpg", "auk", "the file is empty (0 bytes)"), ("eider/half.jpg", "eider", "truncated")]
    rows.append(("new.jpg", "", {"auk": 1}))
    return judge(classes, rows)


@pytest.fixture
def facts_of() -> Callable[..., dict[str, Any]]:
    """facts_of(outcomes): the facts without a file."""

    def facts(outcomes: Any) -> dict[str, Any]:
        count = len(outcomes.labels)
        metrics: dict[str, Any] = {}
        for _, metric in BUILT_IN:
            metrics |= metric(outcomes)
        return {
            "schema": 1,
            "clsbench": "0",
            "predictions": "preds.csv",
            "images": None,
            "model": None,
            "classes": list(outcomes.classes),
            "counts": {"total": count, "ok": count, "errors": 0, "labelled": count, "judged": count},
            "metrics": metrics,
            "metric_errors": {},
            "notes": [],
            "device": None,
            "throughput": None,
        }

    return facts


@pytest.fixture
def thumbnail() -> Callable[..., bytes]:
    """thumbnail(size): bytes that begin like a JPEG."""
    return lambda size=40: b"\xff\xd8\xff\xe0" + bytes(size - 4)
