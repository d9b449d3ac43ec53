from dataclasses import replace

import pytest

from clsbench.evaluation.metrics.calibration import Reliability, ReliabilityBin
from clsbench.evaluation.report.diagram import BARS, HEIGHT, LEFT, SIDE, TOP, diagram, first_confidence


def bin_of(start, end, count, accuracy):
    return ReliabilityBin(
        start, end, count, confidence=(start + end) / 2, accuracy=accuracy, low=accuracy - 0.05,
        high=min(1.0, accuracy + 0.05),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("least", "start", "marks"),
    [(0.03, 0.0, 6), (0.2, 0.2, 5), (0.55, 0.5, 6), (0.62, 0.6, 5), (0.85, 0.8, 5), (0.999, 0.9, 6)],
)
def test_the_axes_begin_below_everything_and_end_at_one(least, start, marks):
    rows = Reliability((replace(bin_of(least, 1.0, 10, 1.0), low=least),))
    assert first_confidence(rows) == start
    ticks = diagram(rows).ticks
    assert len(ticks) == marks
    assert (ticks[0].text, ticks[-1].text) == (f"{start:.2f}", "1.00")
    assert (ticks[0].x, ticks[0].y) == (LEFT, TOP + SIDE)
    assert (ticks[-1].x, ticks[-1].y) == pytest.approx((LEFT + SIDE, TOP))


def test_bins_stand_where_their_numbers_say():
    plot = diagram(Reliability((bin_of(0.5, 0.7, 25, 0.6), bin_of(0.8, 1.0, 75, 0.95))))
    first, second = plot.bins
    assert (first.x, first.y) == pytest.approx((LEFT + SIDE * 0.2, TOP + SIDE * 0.8))
    assert second.top == pytest.approx(TOP)
    assert second.bottom == pytest.approx(TOP + SIDE * 0.2)
    assert first.text == (
        "confidence 0.500 to 0.700, 0.600 on average; accuracy 0.600 (0.550 to 0.650); 25 images of 100"
    )
    heights = [(BARS + HEIGHT - y) / HEIGHT for _, y in plot.remaining]
    assert heights == pytest.approx([1, 1, 0.875, 0.75, 0.75, 0.375, 0])


def test_degenerate_bins_stay_inside(outcomes, evaluation_of):
    plot = diagram(evaluation_of(outcomes).find("reliability", Reliability))
    edge = 1e-9
    for point in plot.bins:
        assert LEFT - edge <= point.x <= LEFT + SIDE + edge
        assert TOP - edge <= point.top <= point.y + edge
        assert point.y <= point.bottom + edge <= TOP + SIDE + 2 * edge
    assert all(LEFT - edge <= x <= LEFT + SIDE + edge for x, _ in plot.remaining)
