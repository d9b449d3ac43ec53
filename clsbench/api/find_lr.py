"""``find_lr``: from labelled images to a learning rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from clsbench.api.arguments import check_at_least
from clsbench.api.components import Options, option_texts
from clsbench.api.data import refuse_dataset
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.repeat import Recorded
from clsbench.api.training_inputs import open_inputs
from clsbench.errors import OptionError
from clsbench.finding_codes.lookup import ignored_kinds
from clsbench.machine import wait_passively
from clsbench.picture_shape import GivenSize, PictureShape
from clsbench.training.config import AUTO, read_options
from clsbench.transform import Interpolation, Resize

if TYPE_CHECKING:
    from clsbench.json_fields import Scalar
    from clsbench.training.lr_finder import RangeTest


def find_lr(
    data: str | Path | None = None,
    *,
    dataset: str | None = None,
    model: str = "simple-cnn",
    pretrained: bool = False,
    weights: str | Path | None = None,
    size: GivenSize | None = None,
    resize: Resize | None = None,
    pad: str | Sequence[int] | None = None,
    interpolation: Interpolation | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    data_fraction: float | None = None,
    group: str | None = None,
    ignore: str | Sequence[str] = (),
    unfrozen: bool = False,
    steps: int = 100,
    out: str | Path | None = None,
    options: Options = (),
    observer: Observer | None = None,
    **training: object,
) -> RangeTest:
    """Find a learning rate: raise it step by step, and read two suggestions off the loss.

    Args:
        data, dataset, model, pretrained, weights, size, resize, pad, interpolation: As in :func:`train`.
        val_fraction, test_fraction, data_fraction, group, ignore, options, observer: As in :func:`train`.
        unfrozen: Test the stage in which everything learns, rather than the recipe's first stage.
        steps: Learning rates to try.
        out: A PNG of the curve.
        training: Fields of :class:`clsbench.training.config.TrainConfig`.

    Raises:
        ClsbenchError: as :func:`train`.
    """
    observer, curve = observer or Observer(), Path(out) if out is not None else None
    wait_passively()
    outputs = Outputs(observer)
    outputs.add(curve, "--out", "the image", ".png")
    check_at_least("steps", steps, 20)
    read_options(training)
    ignored = ignored_kinds([ignore] if isinstance(ignore, str) else ignore)
    splits: dict[str, Scalar] = {"val_fraction": val_fraction, "test_fraction": test_fraction, "group": group}
    asked = Recorded(
        data=data,
        dataset=dataset,
        model=model,
        pretrained=pretrained,
        weights=weights,
        shape=PictureShape.asked(size, resize, pad, interpolation),
        splits={**splits, "data_fraction": data_fraction},
        options=tuple(option_texts(options)),
        training=training,
    )
    inputs = open_inputs(asked, observer)
    outputs.refuse(inputs.start.file if inputs.start else None)
    refuse_dataset(outputs, inputs.images, data)
    from clsbench.training.lr_finder import range_test, save_range_test
    from clsbench.training.memory import fitting_batch_size, memory_explained
    from clsbench.training.setup import build_classifier, set_up

    config = inputs.configure(training)
    if unfrozen and config.recipe == "frozen":
        raise OptionError("the recipe frozen never trains the whole network", where="--unfrozen", hint="leave it out")
    classifier = build_classifier(inputs.build_model, inputs.images, config, observer, name=inputs.network.name)
    with TemporaryDirectory() as folder, inputs.staying():
        setup, _ = set_up(classifier, inputs.images, config, observer, Path(folder), ignore=ignored)
        try:
            if training.get("batch_size") == AUTO:
                setup.config = dataclasses.replace(config, batch_size=fitting_batch_size(setup))
            with memory_explained(setup.config):
                test = range_test(setup, steps=steps, unfrozen=unfrozen)
        finally:
            setup.close()
    if curve:
        save_range_test(test, curve)
    return test
