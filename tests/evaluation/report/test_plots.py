from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from clsbench.errors import DataError
from clsbench.evaluation.metrics.calibration import reliability
from clsbench.evaluation.metrics.confusion import Confusion
from clsbench.evaluation.report.plots import (
    BARS,
    save_accuracy_throughput,
    save_confusion,
    save_plots,
    save_reliability,
)
from clsbench.predictions.outcomes import Outcomes


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k))[1])
    return figures


def confusion(classes, labels, predicted):
    """The confusion that a plot shows."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    unknown = np.full(len(labels), np.nan)
    return Confusion.of(Outcomes(tuple(classes), labels, predicted[:, None], unknown, unknown))


def size(file):
    """Width and height of a PNG."""
    with Image.open(file) as image:
        assert image.format == "PNG"
        return image.size


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_few_classes_are_a_square_with_counts_and_percentages(tmp_path, drawn):
    file = tmp_path / "made" / "confusion.png"
    save_confusion(confusion(["cat", "dog"], [0, 0, 0, 0, 1], [0, 0, 0, 1, 1]), file)
    assert size(file)
    (axes,) = drawn[0].axes
    assert texts(axes) == ["3\n75.00%", "1\n25.00%", "1\n100.00%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert axes.get_title() == "confusion matrix of 5 images; top-1 80.00%"
    assert [text.get_position() for text in axes.texts] == [(0, 0), (1, 0), (1, 1)]
    save_confusion(confusion(["cat", "dog"], [0, 1], [0, 1]), file, kind="validation image")
    assert drawn[1].axes[0].get_title() == "confusion matrix of 2 validation images; top-1 100.00%"


def test_fifty_classes_are_a_square_and_more_are_bars(tmp_path, drawn):
    random = np.random.default_rng(0)
    for count in (50, 51):
        labels = random.integers(0, count, 4000)
        predicted = np.where(random.random(4000) < 0.7, labels, random.integers(0, count, 4000))
        save_confusion(confusion([f"class {k}" for k in range(count)], labels, predicted), tmp_path / f"{count}.png")
    square, bars = (figure.axes[0] for figure in drawn)
    assert len(square.get_yticklabels()) == 50
    assert 0 < len(bars.patches) <= BARS


def boxes(artists, figure):
    """Where they stand, in pixels, each as (left, bottom, right, top)."""
    renderer = figure.canvas.get_renderer()
    return np.array([artist.get_window_extent(renderer).extents for artist in artists])


def overlap(found):
    """Pairs of boxes that share more than a pixel."""
    low = np.maximum(found[:, None, :2], found[None, :, :2])
    high = np.minimum(found[:, None, 2:], found[None, :, 2:])
    return int(np.triu((high - low > 1).all(axis=2), 1).sum())


def test_a_matrix_of_37_long_names_can_be_read(tmp_path, drawn):
    random = np.random.default_rng(0)
    labels = random.integers(0, 37, 3669)
    predicted = np.where(random.random(3669) < 0.8, labels, random.integers(0, 37, 3669))
    classes = [f"Staffordshire_Bull_Terrier{k}" for k in range(37)]
    save_confusion(confusion(classes, labels, predicted), tmp_path / "c.png")
    (axes,) = drawn[0].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == classes
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        found = boxes(labels, drawn[0])
        assert overlap(found) == 0
        assert (found.min(axis=0)[:2] >= 0).all()
        assert (found.max(axis=0)[2:] <= drawn[0].bbox.max).all()
    assert len(axes.texts) > 300
    cell = axes.transData.transform((1, 1)) - axes.transData.transform((0, 0))
    sizes = boxes(axes.texts, drawn[0])
    assert (sizes[:, 2:] - sizes[:, :2] < np.abs(cell)).all()


def test_numbers_too_long_for_a_cell_are_left_to_its_colour(tmp_path, drawn):
    labels = np.repeat(np.arange(40), [200_000, *[20] * 39])
    save_confusion(confusion([f"c{k}" for k in range(40)], labels, labels), tmp_path / "c.png")
    assert texts(drawn[0].axes[0]) == ["20"] * 39


def test_a_thousand_classes_show_their_largest_confusions(tmp_path, drawn):
    labels = [3] * 10 + [4] * 8 + list(range(1000))
    predicted = [7] * 9 + [3] + [999] * 5 + [4] * 3 + list(range(1000))
    file = tmp_path / "confusion.png"
    save_confusion(confusion([f"class {k}" for k in range(1000)], labels, predicted), file)
    (axes,) = drawn[0].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["class 3 → class 7", "class 4 → class 999"]
    assert texts(axes) == ["9 of 11", "5 of 9"]
    assert axes.yaxis_inverted()
    assert axes.get_title().startswith("largest confusions of 1,000 classes, 1,018 images; top-1 98.")
    assert max(size(file)) < 1500


def test_many_classes_without_a_mistake_say_so(tmp_path, drawn):
    save_confusion(confusion([f"c{k}" for k in range(60)], range(60), range(60)), tmp_path / "c.png")
    assert texts(drawn[0].axes[0]) == ["no mistakes"]


def test_mistakes_that_are_as_frequent_are_no_bars(tmp_path, drawn):
    classes, every = [f"c{k}" for k in range(1000)], np.arange(1000)
    save_confusion(confusion(classes, every, (every + 1) % 1000), tmp_path / "once.png")
    twice = np.tile(every, 2)
    save_confusion(confusion(classes, [*twice, 5, 5, 5], [*(twice + 1) % 1000, 7, 7, 7]), tmp_path / "twice.png")
    once, few = (figure.axes[0] for figure in drawn)
    assert texts(once) == ["1,000 pairs of classes confused once"]
    assert not once.patches
    assert [label.get_text() for label in few.get_yticklabels()] == ["c5 → c7"]
    assert few.get_xlabel().endswith("\nleft out: 1,000 pairs of classes confused 2 times")


@pytest.mark.parametrize("count", [12, 60])
def test_long_names_that_differ_in_their_middle_are_told_apart(tmp_path, drawn, count):
    classes = [f"class number {k} with a rather long and boring name of its own" for k in range(count)]
    every = np.repeat(np.arange(count), 5)
    predicted = np.where((np.arange(len(every)) % 5 < 3) & (every < 20), (every + 1) % count, every)
    save_confusion(confusion(classes, every, predicted), tmp_path / "c.png")
    (axes,) = drawn[0].axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(set(names)) == len(names)
    assert any("ber 11 with" in name for name in names)
    assert (boxes(axes.texts, drawn[0]).max(axis=0)[2:] <= axes.get_window_extent().max).all()


def test_a_fast_and_a_slow_model_have_plain_numbers_below_them(tmp_path, drawn):
    points = [("slow", 0.9, 0.8, 0.95, 40.0), ("fast", 0.7, 0.6, 0.8, 2000.0)]
    save_accuracy_throughput(points, tmp_path / "a.png")
    (axes,) = drawn[0].axes
    drawn[0].canvas.draw()
    assert {"50", "1,000"} <= {label.get_text() for label in axes.get_xticklabels()}


def test_names_of_models_side_by_side_do_not_lie_on_each_other(tmp_path, drawn):
    points = [(f"a model with a name {k}", 0.9, 0.8, 0.95, 100.0 + k) for k in range(8)]
    save_accuracy_throughput(points, tmp_path / "a.png", what="same top-1 as $x$")
    (axes,) = drawn[0].axes
    found = boxes(axes.texts, drawn[0])
    assert not overlap(found)
    assert found[:, 3].max() <= axes.get_window_extent().y1
    assert axes.get_ylabel().startswith("same top-1 as $x$ (%)")
    assert not axes.yaxis.label.get_parse_math()


@pytest.mark.parametrize("count", [3, 60])
def test_names_are_neither_mathematics_nor_endless(tmp_path, drawn, count):
    classes = ["$\\frac{1$", "x" * 300, "猫\u202e\n犬", *(f"c{k}" for k in range(count - 3))]
    save_confusion(confusion(classes, [0, 1, 2, 0] * 2, [1, 2, 0, 0] * 2), tmp_path / "c.png")
    labels = "\n".join(label.get_text() for label in drawn[0].axes[0].get_yticklabels())
    assert "$\\frac{1$" in labels
    assert "x" * 13 + "…" + "x" * 14 in labels
    assert "猫\\u202e\\n犬" in labels


def test_the_reliability_diagram_holds_the_bins(tmp_path, drawn):
    random = np.random.default_rng(1)
    confidence = random.beta(4, 1, 500)
    labels = (random.random(500) > confidence).astype(int)
    given = reliability(confidence, labels == 0)
    save_reliability(given, tmp_path / "reliability.png")
    above, below = drawn[0].axes
    rows = given.rows
    (points, _, (spans,)) = above.containers[0]
    assert points.get_xdata() == pytest.approx([row.confidence for row in rows])
    assert points.get_ydata() == pytest.approx([row.accuracy for row in rows])
    ends = np.array([segment[:, 1] for segment in spans.get_segments()])
    assert ends == pytest.approx(np.array([[row.low, row.high] for row in rows]))
    assert above.get_title() == f"reliability: ECE {given.ece:.4g}, 500 images\n15 bins"
    shares = below.lines[0].get_ydata()
    assert (shares[0], shares[-1]) == (100, 0)
    assert (np.diff(shares) <= 0).all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (1, "1 bin: 2 need 40 images, 15 need 300 images"),
        (39, "1 bin: 2 need 40 images, 15 need 300 images"),
        (100, "5 bins of 20 images or more: 15 need 300 images"),
        (300, "15 bins"),
    ],
)
def test_few_images_fill_few_bins_and_the_diagram_says_why(tmp_path, drawn, images, words):
    confidence = np.random.default_rng(0).random(images)
    given = reliability(confidence, confidence > 0.4)
    assert min(row.count for row in given.rows) >= min(20, images)
    save_reliability(given, tmp_path / "r.png")
    assert drawn[0].axes[0].get_title().split("\n")[1] == words
    assert (boxes([drawn[0].axes[0].title], drawn[0])[0, ::2] <= drawn[0].bbox.width).all()


def test_plots_hold_in_degenerate_cases(outcomes, tmp_path):
    save_confusion(Confusion.of(outcomes), tmp_path / "c.png")
    save_reliability(reliability(outcomes.confidence, outcomes.predicted == outcomes.labels), tmp_path / "r.png")
    assert min(size(tmp_path / "c.png")) > 200
    assert min(size(tmp_path / "r.png")) > 200


def test_what_is_missing_is_told_with_its_reason(tmp_path, bare, evaluation_of):
    unknown = np.full(len(bare.labels), np.nan)
    outcomes = replace(bare, confidence=unknown)
    drawn = dict(save_plots(evaluation_of(outcomes), tmp_path))
    assert drawn[tmp_path / "confusion.png"] is None
    assert "the confidence is not known for" in drawn[tmp_path / "reliability.png"]
    assert [file.name for file in tmp_path.iterdir()] == ["confusion.png"]
    missing = dict(save_plots(evaluation_of(outcomes, []), tmp_path / "new"))
    assert missing[tmp_path / "new" / "confusion.png"] == "no metric gave confusion"
    with pytest.raises(DataError, match="no model has a known throughput"):
        save_accuracy_throughput([], tmp_path / "t.png")
    assert len(list(tmp_path.iterdir())) == 1


def test_accuracy_and_throughput_join_the_models_that_nothing_beats(tmp_path, drawn):
    points = [
        ("resnet50", 0.94, 0.93, 0.95, 55.0),
        ("resnet18", 0.90, 0.89, 0.91, 120.0),
        ("vit-tiny", 0.92, 0.91, 0.93, 275.0),
        ("$int8$", 0.91, 0.90, 0.92, 500.0),
    ]
    file = tmp_path / "made" / "t.png"
    save_accuracy_throughput(points, file)
    assert size(file)
    (axes,) = drawn[0].axes
    assert list(axes.lines[0].get_xdata()) == [55, 275, 500]
    assert texts(axes) == [name for name, *_ in points]
    assert axes.get_xscale() == "log"
    assert [container[0].get_markerfacecolor() for container in axes.containers].count("white") == 1
    said = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert said == [
        "measured: no other is both as accurate and as fast",
        "measured: another is as accurate and as fast, or better",
    ]
    save_accuracy_throughput([("one", 1.0, 0.9, 1.0, 0.0)], file)
    assert drawn[1].axes[0].get_xscale() == "linear"
    assert len(drawn[1].legends[0].get_texts()) == 1
