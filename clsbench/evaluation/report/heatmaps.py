"""Where the most confident mistakes come from: heatmaps that are made elsewhere, and how the page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clsbench.evaluation.judging import Evaluation
from clsbench.evaluation.metrics.top_losses import TopLoss, TopLosses
from clsbench.evaluation.report.formats import name
from clsbench.evaluation.report.thumbnails import Thumbnail, Thumbnails

#: Mistakes that are explained, the greatest losses first: each costs up to a thousand runs of the model.
EXPLAINED = 18


@dataclass(frozen=True)
class Heatmaps:
    """Heatmaps for a page.

    Args:
        method: As it is called in sentences: ``CAM``, ``occlusion``, ``RISE``.
        strips: Name of an image -> JPEG, WebP or PNG of three squares side by side: what the network saw, and the
            heatmaps of the predicted and of the actual class.
    """

    method: str
    strips: Mapping[str, bytes]


@dataclass(frozen=True)
class Strip:
    """A mistake as the page shows it."""

    name: str
    predicted: str
    label: str
    image: Thumbnail


def wanted_heatmaps(evaluation: Evaluation) -> tuple[TopLoss, ...]:
    """The mistakes whose heatmaps a report can use."""
    losses = evaluation.find("top_losses", TopLosses)
    return tuple(losses.rows[:EXPLAINED]) if isinstance(losses, TopLosses) else ()


def strips(evaluation: Evaluation, heatmaps: Heatmaps | None) -> tuple[Strip, ...]:
    """The mistakes that have heatmaps.

    Raises:
        ValueError: if a strip is of another format.
    """
    if heatmaps is None:
        return ()
    thumbnails = Thumbnails(heatmaps.strips)
    return tuple(
        Strip(name(mistake.name), name(mistake.predicted), name(mistake.label), image)
        for mistake in wanted_heatmaps(evaluation)
        if (image := thumbnails.embed(mistake.name))
    )
