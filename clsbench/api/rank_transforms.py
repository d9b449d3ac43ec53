"""``adopt --check``: which preprocessing does a foreign classifier want? Images answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.checkpoint import Classes
from clsbench.api.components import choose
from clsbench.api.labelled import Wanted
from clsbench.api.observer import Observer, SilentObserver
from clsbench.api.proposal import propose
from clsbench.text import some

if TYPE_CHECKING:
    from clsbench.adopting.stated import Channels, Range
    from clsbench.adopting.transform_check import TransformCheck
    from clsbench.api.sources import Images
    from clsbench.picture_shape import GivenSize
    from clsbench.transform import ImageTransform


def rank_transforms(
    file: str | Path,
    images: Images,
    *,
    classes: Classes | None = None,
    transform: str | Path | ImageTransform | None = None,
    size: GivenSize | None = None,
    resize: str | None = None,
    crop_fraction: float | None = None,
    interpolation: str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    range: Range | None = None,
    channels: str | None = None,
    pad: str | Sequence[int] | None = None,
    output: str | None = None,
    observer: Observer | None = None,
) -> TransformCheck:
    """Try the usual kinds of preprocessing on a foreign .onnx classifier, and rank them by accuracy.

    What is stated, or found in or beside the file, is taken as certain; the rest is varied.

    Args:
        file: The .onnx file.
        images: Images as ``infer`` takes them; with class folders of the model's classes they are judged by accuracy,
            without by mean confidence, which is only a hint. At most 500 are used, evenly from the classes.
        classes, transform, size, resize, crop_fraction, interpolation, mean, std, range, channels, pad, output: As in
            :func:`clsbench.adopt`.
        observer: Hears what was decided, notes and progress.

    Raises:
        OptionError: for a wrong value.
        DataError: if there are no images, or none can be read.
        ModelError: if the file is no classifier that can be used.
    """
    import numpy as np

    from clsbench.adopting.candidates import candidates
    from clsbench.adopting.checking import check_transforms
    from clsbench.adopting.stated import stated

    observer = observer or Observer()
    asked = stated(
        transform=transform, size=size, resize=resize, crop_fraction=crop_fraction, interpolation=interpolation,
        mean=mean, std=std, range=range, channels=channels, pad=pad,
    )  # fmt: skip
    proposal = propose(Path(file), asked, classes, output, observer)
    wanted = Wanted(images, unknown="ignore")
    source, truth = wanted.open(choose(wanted.components()), proposal.card, (), SilentObserver())
    labels = np.asarray(truth.index, np.int64)
    known = labels if (labels >= 0).any() else None
    if known is None:
        observer.warn(
            "no image lies in a folder that has the name of a class, so confidence is all there is: "
            f"name the folders as the model does, such as {some(proposal.card.classes, 3)}"
        )
    fixed = [each.field for each in proposal.decisions if each.how != "guessed"]
    tried = candidates(proposal.card.transform, fixed)
    return check_transforms(proposal.foreign.logits, source.entries, known, tried, progress=observer)
