"""The half of ``show`` that draws predictions: titled images, green where right, red where wrong."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least
from clsbench.api.explain import ImageExplainer, explained_tiles, model_of, open_explainer, percent
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.predictions import open_table
from clsbench.api.show import AS_IT_IS
from clsbench.errors import ClsbenchError, DataError, OptionError, PluginError

if TYPE_CHECKING:
    from clsbench.images.entries import Entry
    from clsbench.images.grid import Tile
    from clsbench.inference.explaining import Explanation, Method
    from clsbench.predictions.table import PredictionTable

#: The colours of right, wrong and unlabelled.
RIGHT, WRONG, UNKNOWN = "#1a7f37", "#cf222e", "#57606a"

PICKS = "wrong, random, top-loss or class:NAME"


@dataclass(frozen=True, kw_only=True)
class DrawnPredictions:
    """A grid that was drawn.

    Args:
        predictions: The file.
        pick: How its images were picked.
        drawn: Their names.
        explained: The heatmaps beside them; empty without.
        file: The PNG; None where no image is wrong.
    """

    predictions: Path
    pick: str
    drawn: tuple[str, ...]
    explained: tuple[Explanation, ...] = ()
    file: Path | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "predictions": str(self.predictions),
            "pick": self.pick,
            "drawn": list(self.drawn),
            "explained": [one.to_json() for one in self.explained],
            "file": str(self.file) if self.file else None,
        }


def is_predictions(data: str | Path | None) -> bool:
    """Whether a file holds predictions rather than paths and labels."""
    from clsbench.predictions.columns import PREFIX
    from clsbench.predictions.file_formats import open_file
    from clsbench.predictions.parts import is_folder_of_parts

    file = Path(data) if data is not None else None
    if file is not None and is_folder_of_parts(file):
        return True
    if file is None or not file.is_file() or file.suffix.lower() not in (".csv", ".jsonl", ".parquet"):
        return False
    columns = open_file(file).columns if file.suffix.lower() == ".csv" else ["predicted"]
    return "predicted" in columns or any(name.startswith(PREFIX) for name in columns)


def show_predictions(
    predictions: str | Path,
    *,
    images: str | Path | None = None,
    pick: str = "wrong",
    n: int = 25,
    out: str | Path = "images.png",
    seed: int = 0,
    explain: Method | None = None,
    model: str | Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
) -> DrawnPredictions:
    """Draw some of the images of a predictions file.

    Args:
        predictions: The file.
        images: The folder that its paths are relative to, or the archive or URL; the manifest's if left out.
        pick: ``wrong`` (at random), ``random``, ``top-loss`` or ``class:NAME``.
        n: How many, at most.
        out: The PNG.
        seed: Of what is random.
        explain: The method of heatmaps beside the images, ``auto``, ``cam``, ``occlusion`` or ``rise``: of the
            predicted class, and of the actual one where that is another. None for none.
        model: The .onnx file that explains; the one that the manifest names if left out.
        device: Where it runs, as in :func:`clsbench.load`.
        observer: Hears notes and progress.

    Raises:
        OptionError: for an unknown pick, class or method, or if no model is known.
        DataError: if there is nothing to draw.
        ModelError: if the model file cannot be used, or does not allow CAM and that was asked for.
    """
    from clsbench.images.grid import save_grid
    from clsbench.images.sources.lookup import ImageLookup

    observer, file, grid = observer or Observer(), Path(predictions), Path(out)
    outputs = Outputs(observer)
    outputs.add(grid, "--out", "the image", ".png")
    outputs.refuse(model)
    check_at_least("n", n, 1)
    with open_table(file, outputs=outputs, observer=observer) as table:
        root = images if images is not None else table.root
        if root is None or (images is None and not table.manifest.images_are_there):
            raise DataError("the images are not there", where=root, hint="name their folder with --images ROOT")
        if os.path.isdir(root):
            outputs.refuse_images(os.path.join(root, name) for name in table.names)
        else:
            outputs.refuse(root)
        find = ImageLookup(root)
        rows = _picked(table, pick, n, seed)
        if not rows and pick == "wrong" and ((table.labels >= 0) & (table.predicted >= 0)).any():
            return DrawnPredictions(predictions=file, pick=pick, drawn=(), file=None)
        if not rows:
            raise DataError("there is no image to draw", where=file, got=f"--pick {pick}")
        names = tuple(table.names[row] for row in rows)
        group: int | None
        explained: tuple[Explanation, ...]
        if explain:
            source = model_of(table, model, observer)
            with open_explainer(source, explain, device=device, seed=seed, observer=observer) as explainer:
                group, tiles, explained = _explained(table, rows, find, explainer)
        else:
            group, tiles, explained = None, [_tile(table, row, find) for row in rows], ()
    save_grid(tiles, grid, group=group, title=f"{file.name}: {pick}")
    return DrawnPredictions(predictions=file, pick=pick, drawn=names, explained=explained, file=grid)


def _picked(table: PredictionTable, pick: str, count: int, seed: int) -> list[int]:
    import numpy as np

    shuffled = np.random.default_rng(seed).permutation(len(table.names))
    judged = (table.labels >= 0) & (table.predicted >= 0)
    wrong = judged & (table.labels != table.predicted)
    if pick == "random":
        return [int(i) for i in shuffled[:count]]
    if pick == "wrong":
        return [int(i) for i in shuffled[wrong[shuffled]][:count]]
    if pick == "top-loss":
        # The less probable the true class, the higher the loss; wrong ones alone where that is not known.
        guess = np.where(wrong, 0.0, 1.0) if np.isnan(table.confidence).all() else 1 - table.confidence
        sure = np.where(np.isfinite(table.label_confidence), table.label_confidence, guess)
        order = np.argsort(np.where(judged, sure, np.inf), kind="stable")
        return [int(i) for i in order[judged[order]][:count]]
    kind, _, name = pick.partition(":")
    if kind != "class" or name not in table.classes:
        known = f"; classes: {', '.join(table.classes[:20])}" if kind == "class" else ""
        raise OptionError("cannot pick images", where="--pick", got=pick, expected=PICKS + known)
    of_class = table.labels[shuffled] == table.classes.index(name)
    return [int(i) for i in shuffled[of_class][:count]]


def tile_title(table: PredictionTable, row: int) -> tuple[str, str]:
    """What a tile says of an image below its path, and in which colour.

    Whether it is right or wrong, the predicted class and the actual one with their probabilities, and
    the loss, -ln p(actual class) in nats; what is not known is left out.
    """
    from clsbench.predictions.table import HALF_DIGIT

    label, predicted = int(table.labels[row]), int(table.predicted[row])
    if predicted < 0:
        said = ["not classified"] if label < 0 else ["not classified", f"is {table.classes[label]}"]
        return "\n".join(said), UNKNOWN if label < 0 else WRONG
    verdict = "" if label < 0 else "right: " if label == predicted else "wrong: "
    lines = [f"{verdict}{table.classes[predicted]}{_percent(table.confidence[row])}"]
    sure = float(table.label_confidence[row])
    if label >= 0 and label != predicted:
        lines.append(f"is {table.classes[label]}{_percent(sure)}")
    if label >= 0 and math.isfinite(sure):
        smallest = HALF_DIGIT if table.probabilities is None else sys.float_info.epsilon
        lines.append(f"loss {abs(math.log(max(sure, smallest))):.2f}")
    return "\n".join(lines), UNKNOWN if label < 0 else RIGHT if label == predicted else WRONG


def _percent(probability: float) -> str:
    return f" {percent(probability)}" if math.isfinite(probability) else ""


def _tile(table: PredictionTable, row: int, find: Callable[[str], Entry]) -> Tile:
    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader

    title, colour = tile_title(table, row)
    try:
        return Tile(ImageLoader(AS_IT_IS)(find(table.names[row])), title, colour, table.names[row])
    except ClsbenchError:
        return Tile(None, title, colour, table.names[row])


def _explained(
    table: PredictionTable, rows: list[int], find: Callable[[str], Entry], explainer: ImageExplainer
) -> tuple[int, list[Tile], tuple[Explanation, ...]]:
    """Tiles an image, the tiles, and their heatmaps: of the predicted class, and of the actual one if another."""
    from clsbench.images.grid import Tile

    explainer.stage(len(rows))
    groups: list[list[Tile]] = []
    explained: list[Explanation] = []
    for row in rows:
        title, colour = tile_title(table, row)
        label = int(table.labels[row])
        try:
            found = explainer(find(table.names[row]), [table.classes[label]] if label >= 0 else [])
        except PluginError:
            raise
        except ClsbenchError as error:
            groups.append([Tile(None, f"{title}\n{error.what}", colour, table.names[row])])
            continue
        explained += found
        groups.append(explained_tiles(found, table.names[row], title, colour))
    width = max(map(len, groups))
    tiles = [tile for group in groups for tile in [*group, *[Tile(None, "")] * (width - len(group))]]
    return width, tiles, tuple(explained)
