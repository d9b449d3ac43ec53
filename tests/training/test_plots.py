"""What stands in curves.png and in the curve of a range test."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure

from clsbench.training.config import TrainConfig
from clsbench.training.epochs import Epoch
from clsbench.training.lr_finder import RangeTest, save_range_test
from clsbench.training.plots import save_curves


@pytest.fixture
def panels(monkeypatch, tmp_path):
    """panels(stages, rates, **config): the three axes of curves.png, drawn."""
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k))[1])

    def draw(stages, *, rates=((0.0, 0.1), (1.0, 0.2)), loss=lambda k: 1 / k, **config):
        history = [
            Epoch(k, stage, loss(k), 0.5, 1.1 * loss(k), 0.6, 0.1, 1.0, float(k)) for k, stage in enumerate(stages, 1)
        ]
        config = TrainConfig(**{"epochs": 1, "lr": 0.1, **config})
        save_curves(history, rates, tmp_path / "curves.png", title="tiny", config=config)
        return figures[-1].axes

    return draw


def ticks(axes):
    """Labels of the horizontal axis that are in view."""
    low, high = axes.get_xlim()
    return [label.get_text() for label in axes.get_xticklabels() if low <= label.get_position()[0] <= high]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_one_epoch_has_one_tick(panels):
    assert [ticks(axes) for axes in panels(["everything"])] == [["1"]] * 3


def test_stages_are_divided_at_one_place(panels):
    found = panels(["head", "head", "everything"], rates=[(0, 0.1), (2, 0.0), (3, 0.1)])
    for axes in found:
        (line,) = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert set(line.get_xdata()) == {2.5}
        assert axes.get_xlim() == (0.5, 3.5)
    assert found[2].lines[0].get_xdata().tolist() == [0.5, 2.5, 3.5]  # the rate of the first step of epoch 1 is at 0.5


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_no_offset_or_power_of_ten_stands_beside_a_title(panels, scale):
    found = panels(["everything"] * 3, rates=[(0, scale), (3, 2 * scale)], loss=lambda k: 2.302585 + 1e-7 * k * scale)
    assert [axes.yaxis.get_offset_text().get_text() for axes in found] == ["", "", ""]


def test_short_stages_are_named_below_where_they_do_not_overlap(panels):
    (axes, *_) = panels(["head", "last group", *["everything"] * 28])
    (found,) = axes.figure.legends
    assert found.get_texts()[-1].get_text() == "stages: head, last group, everything"
    assert not axes.texts


def test_the_legend_says_what_was_done_and_covers_no_curve(panels):
    losses, accuracy, rate = panels(
        ["everything"] * 2, augment="trivial", mixup=0.2, label_smoothing=0.1, class_weights="balanced", ema=0.9
    )
    training = "training (augmentation trivial, Mixup, label smoothing 0.1, class weights)"
    (found,) = losses.figure.legends
    assert [text.get_text() for text in found.get_texts()] == [training, "validation (EMA weights)"]
    renderer = losses.figure.canvas.get_renderer()
    top = found.get_window_extent(renderer).y1
    assert all(axes.get_tightbbox(renderer).y0 >= top for axes in (losses, accuracy, rate))
    assert rate.get_title() == "adamw, one-cycle"
    (plain,) = panels(["everything"], augment="none")[0].figure.legends
    assert [text.get_text() for text in plain.get_texts()] == ["training (no augmentation)", "validation"]


@pytest.mark.parametrize("first", [0, 90])
def test_labels_of_a_range_test_do_not_overlap(monkeypatch, tmp_path, first):
    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k))[1])
    lrs = np.geomspace(1e-7, 10, 100)[first:]
    test = RangeTest(lrs, np.linspace(2, 1, len(lrs)), lrs[4], lrs[6], "head")
    save_range_test(test, tmp_path / "lr.png")
    (axes,) = figures[0].axes
    renderer, (low, high) = figures[0].canvas.get_renderer(), axes.get_xlim()
    shown = [label for label in axes.get_xticklabels(which="both") if low <= label.get_position()[0] <= high]
    spans = sorted((box.x0, box.x1) for label in shown
                   if label.get_text() and (box := label.get_window_extent(renderer)).width)  # fmt: skip
    assert len(spans) > 1
    assert all(left[1] < right[0] for left, right in pairwise(spans))
    assert legend(axes)[0] == f"valley {lrs[4]:.2g}: halfway along the longest descent"
