"""Predictions as files, read and judged as ``evaluate`` does it, and pages as parsers see them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clsbench import builtin
from clsbench.evaluation.judging import Evaluation, ImageCounts, judge
from clsbench.predictions.metric import run_metrics
from clsbench.predictions.reading import read_predictions
from clsbench.predictions.table import PredictionTable

BUILT_IN = [(component.name, component.build()) for component in builtin.register_metrics()]

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
    """A predictions file and what was said of it."""

    evaluation: Evaluation
    table: PredictionTable

    @property
    def facts(self) -> dict[str, Any]:
        """What ``evaluate --json`` says."""
        return self.evaluation.to_json()


@pytest.fixture(name="judge")
def _judge(tmp_path: Path) -> Iterator[Callable[..., Judged]]:
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
            return Judged(judge(table, BUILT_IN), table)

        yield judged


@pytest.fixture
def measure() -> Callable[..., Evaluation]:
    """measure(table, more): judged by the built-in metrics and by more."""
    return lambda table, more=(): judge(table, [*BUILT_IN, *more])


@pytest.fixture
def birds(judge: Callable[..., Judged]) -> Judged:
    """Six classes, 300 images of which some four in five are right, one without a label and two unreadable."""
    random = np.random.default_rng(7)
    classes = ["auk", "bittern", "crake", "dipper", "eider", "firecrest"]
    rows: list[tuple[str, str, Any]] = []
    for k in range(300):
        label = int(random.integers(5))
        chances = random.dirichlet(np.full(6, 0.4)) * 0.65
        chances[label] += 0.35
        rows.append((f"{classes[label]}/{k:03d}.jpg", classes[label], dict(zip(classes, chances, strict=True))))
    rows += [("auk/broken.jpg", "auk", "the file is empty (0 bytes)"), ("eider/half.jpg", "eider", "truncated")]
    rows.append(("new.jpg", "", {"auk": 1}))
    return judge(classes, rows)


@pytest.fixture
def evaluation_of() -> Callable[..., Evaluation]:
    """evaluation_of(outcomes, metrics): an evaluation without a file."""

    def evaluated(outcomes: Any, metrics: Any = BUILT_IN) -> Evaluation:
        count = len(outcomes.labels)
        return Evaluation(
            file=Path("preds.csv"),
            classes=outcomes.classes,
            counts=ImageCounts(count, count, 0, count, count),
            metrics=run_metrics(outcomes, metrics),
        )

    return evaluated


@pytest.fixture
def changed() -> Callable[..., Evaluation]:
    """changed(evaluation, {key: value}, …): with other values of metrics, and other fields."""

    def change(evaluation: Evaluation, values: Mapping[str, object], **fields: Any) -> Evaluation:
        metrics = replace(evaluation.metrics, values={**evaluation.metrics.values, **values})
        return replace(evaluation, metrics=metrics, **fields)

    return change


@pytest.fixture
def thumbnail() -> Callable[..., bytes]:
    """thumbnail(size): bytes that begin like a JPEG."""
    return lambda size=40: b"\xff\xd8\xff\xe0" + bytes(size - 4)
