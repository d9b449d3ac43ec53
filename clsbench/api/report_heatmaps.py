"""The heatmaps of a report: its greatest losses explained by the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.explain import model_of, open_explainer, overlays
from clsbench.api.observer import Observer
from clsbench.errors import ClsbenchError, PluginError

if TYPE_CHECKING:
    from clsbench.evaluation.judging import Evaluation
    from clsbench.evaluation.report.heatmaps import Heatmaps
    from clsbench.images.entries import Entry
    from clsbench.inference.explaining import Explanation, Method
    from clsbench.predictions.table import PredictionTable


def report_heatmaps(
    found: Evaluation,
    table: PredictionTable,
    find: Callable[[str], Entry],
    *,
    method: Method,
    model: str | Path | None,
    observer: Observer,
) -> Heatmaps:
    """Strips of the greatest losses: what the network saw, and where predicted and actual class come from.

    Args:
        found: The evaluation.
        table: That it comes from.
        find: Finds an image by its name.
        method: As in :class:`clsbench.inference.explaining.Explainer`.
        model: The .onnx file; the one that the manifest names if left out.
        observer: Hears the method, its cost and the progress.

    Raises:
        OptionError: if no model is known.
        ModelError: if the model file cannot be used, or does not allow CAM and that was asked for.
    """
    from clsbench.evaluation.report.heatmaps import Heatmaps, wanted_heatmaps
    from clsbench.inference.explaining import TITLES

    mistakes = wanted_heatmaps(found)
    strips: dict[str, bytes] = {}
    with open_explainer(model_of(table, model, observer), method, observer=observer) as explainer:
        explainer.stage(len(mistakes))
        for mistake in mistakes:
            wanted = (mistake.predicted, mistake.label)
            try:
                explained = {one.label: one for one in explainer(find(mistake.name), wanted)}
            except PluginError:
                raise
            except ClsbenchError:  # it has no thumbnail either, and has been counted there
                continue
            if all(label in explained for label in wanted):
                strips[mistake.name] = _strip([explained[label] for label in wanted])
        return Heatmaps(TITLES[explainer.explainer.method], strips)


def _strip(explained: list[Explanation]) -> bytes:
    """What the network saw and the heatmaps, side by side, each as large as a thumbnail; JPEG."""
    import numpy as np
    from PIL import Image, ImageOps

    from clsbench.evaluation.report.thumbnails import SIDE, jpeg

    squares = [explained[0].pixels, *overlays(explained)]
    strip = Image.new("RGB", (SIDE * len(squares), SIDE), "white")
    for position, pixels in enumerate(squares):
        image = ImageOps.contain(Image.fromarray(pixels), (SIDE, SIDE))
        strip.paste(image, (SIDE * position + (SIDE - image.width) // 2, (SIDE - image.height) // 2))
    return jpeg(np.asarray(strip))
