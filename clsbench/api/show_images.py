"""The part of ``show`` that draws images with what a model says of them, and where that comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least
from clsbench.api.explain import ImageExplainer, explained_tiles, open_explainer, percent
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.sources import Images, named_source
from clsbench.errors import ClsbenchError, PluginError
from clsbench.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clsbench.images.entries import Entry
    from clsbench.images.grid import Tile
    from clsbench.inference.explaining import Explanation, Method


@dataclass(frozen=True, kw_only=True)
class ExplainedImages:
    """A grid that was drawn.

    Args:
        drawn: Names of the images in it.
        explained: What was drawn beside them; empty without heatmaps.
        file: The PNG.
    """

    drawn: tuple[str, ...]
    explained: tuple[Explanation, ...]
    file: Path

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the maps."""
        return {
            "schema": 1,
            "drawn": list(self.drawn),
            "explained": [one.to_json() for one in self.explained],
            "file": str(self.file),
        }


def show_images(
    images: Images,
    *,
    model: str | Path | None = None,
    explain: Method | None = None,
    n: int = 9,
    out: str | Path = "images.png",
    device: str = "auto",
    seed: int = 0,
    observer: Observer | None = None,
) -> ExplainedImages:
    """Draw images titled with their predicted class, and heatmaps of where the prediction comes from.

    Args:
        images: As for :func:`clsbench.infer`: an image, a folder, an archive, a URL, ….
        model: An .onnx file; the latest export if left out.
        explain: The method of the heatmaps: ``auto``, ``cam``, ``occlusion`` or ``rise``; None for none.
        n: How many images, at most; of more some are chosen at random.
        out: The PNG.
        device: As in :func:`clsbench.load`.
        seed: Of what is random.
        observer: Hears notes and progress.

    Raises:
        OptionError: for an unknown method.
        DataError: if there are no images.
        ModelError: if the model file cannot be used, or does not allow CAM and that was asked for.
    """
    from clsbench.images.grid import save_grid

    observer, file = observer or Observer(), Path(out)
    outputs = Outputs(observer)
    outputs.add(file, "--out", "the image", ".png")
    check_at_least("n", n, 1)
    source = named_source(images, observer)
    outputs.refuse(model)
    outputs.refuse_images(source.entries, source.location)
    entries = _drawn(source.entries, n, seed)
    if len(entries) < len(source.entries):
        observer.note(f"drawing {len(entries)} of {counted(len(source.entries), 'image')}; -n draws more")
    if explain:
        with open_explainer(model, explain, device=device, seed=seed, observer=observer) as explainer:
            tiles, explained = _explained(entries, explainer)
    else:
        tiles, explained = _classified(entries, model, device), ()
    save_grid(tiles, file, group=2 if explain else None, title=source.location)
    return ExplainedImages(drawn=tuple(entry.name for entry in entries), explained=explained, file=file)


def is_image(data: str | Path | None) -> bool:
    """Whether a path or URL is that of one image rather than of a dataset or of predictions."""
    from clsbench.images.formats import SUFFIXES
    from clsbench.images.sources.urls import path_of

    return data is not None and Path(path_of(str(data))).suffix.lower() in SUFFIXES and not Path(data).is_dir()


def _drawn(entries: Sequence[Entry], count: int, seed: int) -> list[Entry]:
    """All entries if they are few, or some at random, in their order."""
    import numpy as np

    chosen = np.random.default_rng(seed).permutation(len(entries))[:count]
    return [entries[k] for k in sorted(chosen.tolist())]


def _explained(entries: Sequence[Entry], explainer: ImageExplainer) -> tuple[list[Tile], tuple[Explanation, ...]]:
    from clsbench.images.grid import Tile

    tiles: list[Tile] = []
    explained: list[Explanation] = []
    explainer.stage(len(entries))
    for entry in entries:
        try:
            found = explainer(entry)
        except PluginError:
            raise
        except ClsbenchError as error:
            tiles += [Tile(None, error.what, "red", entry.name), Tile(None, "")]
            continue
        explained += found
        tiles += explained_tiles(found, entry.name, "", "black")
    return tiles, tuple(explained)


def _classified(entries: Sequence[Entry], model: str | Path | None, device: str) -> list[Tile]:
    from clsbench.api.model import load
    from clsbench.images.entries import in_memory
    from clsbench.images.grid import Tile
    from clsbench.images.loader import ImageLoader

    tiles = []
    with load(model, device=device) as opened:
        loader = ImageLoader(opened.transform)
        for entry in entries:
            try:
                content = loader.read(entry)
                pixels = loader(in_memory(entry.name, content))
            except PluginError:
                raise
            except ClsbenchError as error:
                tiles.append(Tile(None, error.what, "red", entry.name))
                continue
            found = opened.predict(content)
            said = found.error or f"{found.label} {percent(found.confidence)}"
            tiles.append(Tile(pixels, said, path=entry.name))
    return tiles
