"""``probe``: which backbone is worth training on these images?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.arguments import check_at_least, check_training_packages
from clsbench.api.components import Options
from clsbench.api.data import build_dataset, choose_dataset, data_location, refuse_dataset
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.probe_models import component_name, make_candidate, runs_among, split_models, warn_of_runs
from clsbench.errors import OptionError
from clsbench.images.sources.urls import redacted
from clsbench.machine import wait_passively
from clsbench.picture_shape import GivenSize, PictureShape
from clsbench.text import counted, file_size, some

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.probing.pool import Pool
    from clsbench.probing.result import ProbeResult


def probe(
    data: str | Path | None = None,
    *,
    models: str | Sequence[str],
    views: int = 1,
    folds: int = 5,
    dataset: str | None = None,
    size: GivenSize | None = None,
    test_fraction: float | None = None,
    data_fraction: float | None = None,
    seed: int = 0,
    device: str = "auto",
    keep: bool = True,
    plot: str | Path | None = None,
    options: Options = (),
    observer: Observer | None = None,
) -> ProbeResult:
    """Compare backbones on labelled images without training them.

    Each backbone is evaluated once on each image. A linear head and nearest neighbours are then judged on
    held-out folds of the features, the same for all backbones, and ranked by the paired test of :func:`compare`.

    Args:
        data: As in :func:`train`; train and val are pooled, a test split is not used.
        models: ``"resnet18,efficientnet-lite0"`` or a sequence: names of models or runs, each with options after
            colons. Published weights are taken where a model has any; ``resnet18:pretrained=false`` draws random ones.
        views: Fit the linear head to so many augmented views of each image; 1 for the images as they are.
        folds: Parts that are held out in turn.
        dataset, size, options: As in :func:`train`.
        test_fraction: Part of each class to set aside, as ``train`` does with the same seed.
        data_fraction: Use this part of each class only.
        seed: Of folds, views and random weights.
        device: ``auto``, ``cpu`` or ``cuda``.
        keep: Take features from the cache folder, and keep new ones there.
        plot: A PNG of accuracy against speed.
        observer: Hears notes, warnings and progress.

    Raises:
        OptionError: for unknown names or options, or more folds than images of any class.
        DataError: if the images are not as required.
        ModelError: if none of the models can be built and evaluated; one that cannot is told in ``failures``.
    """
    observer, chart = observer or Observer(), Path(plot) if plot is not None else None
    wait_passively()
    check_at_least("folds", folds, 2)
    check_at_least("views", views, 1)
    texts, shape = split_models(models), PictureShape.asked(size, None, None, None)
    outputs, root = Outputs(observer), data_location(data)
    outputs.add(chart, "--plot", "the plot", ".png")
    runs = runs_among(texts)
    source, spec, picked = choose_dataset(
        dataset, root, options, {"model": [component_name(text, runs) for text in texts]},
        test_fraction=test_fraction, data_fraction=data_fraction, seed=seed,
    )  # fmt: skip
    check_training_packages()
    from clsbench.probing.pool import pool as pooled
    from clsbench.training.hardware import choose_device

    chosen_device = choose_device(device)
    spec.check_given(source.resolved.component.gives, where=data or source.name)
    images = build_dataset(source.resolved, root, source.options)
    refuse_dataset(outputs, images, data)
    candidates = [
        make_candidate(text, chosen, runs.get(text), shape, len(images.classes))
        for text, chosen in zip(texts, picked["model"], strict=True)
    ]
    names = [candidate.name for candidate in candidates]
    if twice := next((name for k, name in enumerate(names) if name in names[:k]), None):
        raise OptionError("a model is named twice", where="--models", got=twice)
    pool = pooled(images, spec, folds)
    place = f" {redacted(str(data))}" if data else ""
    _tell(pool, f"{source.resolved.component.name}{place}", folds, spec.seed, observer)
    warn_of_runs(runs, root.resolve() if isinstance(root, Path) else root, source.name, observer)
    result = _run(
        candidates,
        pool,
        images,
        device=chosen_device,
        views=views,
        seed=spec.seed,
        folds=folds,
        keep=keep,
        observer=observer,
    )
    if chart:
        _draw(result, chart, observer)
    return result


def _run(
    candidates,
    pool: Pool,
    images: Dataset,
    *,
    device: str,
    views: int,
    seed: int,
    folds: int,
    keep: bool,
    observer: Observer,
) -> ProbeResult:
    import dataclasses

    import torch

    from clsbench.probing.feature_store import features_folder, stored
    from clsbench.probing.probe import digest_images, probe_all
    from clsbench.probing.result import ranked

    digests, there, unreadable = digest_images(pool, observer)
    judged = (
        pool
        if there.all()
        else dataclasses.replace(
            pool, samples=tuple(s for s, ok in zip(pool.samples, there, strict=True) if ok), folds=pool.folds[there]
        )
    )
    found, failures = probe_all(
        candidates,
        judged,
        digests[there],
        device=torch.device(device),
        views=views,
        seed=seed,
        keep=keep,
        hearing=observer,
    )
    result = ranked(
        found, failures, judged, unreadable=unreadable, folds=folds, views=views, seed=seed, device=device,
        cache=features_folder() if keep else None,
    )  # fmt: skip
    for name, error in failures.items():
        observer.warn(f"{name} is not ranked: {error.one_line()}")
    if result.unreadable:
        observer.warn(
            f"left out, as unreadable: {counted(len(result.unreadable), 'image')}: {some(list(result.unreadable), 3)}"
        )
    reused = [row.name for row in result.rows if row.probed.kept]
    if reused:
        observer.note(f"features were kept from an earlier call: {some(reused, 10)}")
    if keep:
        size = sum(status.st_size for _, status in stored())
        observer.note(f"features are kept in {features_folder()}: {file_size(size)}; delete the folder to free them")
    return result


def _tell(pool: Pool, name: str, folds: int, seed: int, observer: Observer) -> None:
    counts = f"{counted(len(pool.classes), 'class')}, {counted(len(pool.samples), 'image')}"
    observer.note(f"{name}: {counts} in {folds} folds, stratified, seed {seed}")
    for note in pool.notes:
        observer.note(f"  {note}")
    for text in pool.warnings:
        observer.warn(text)


def _draw(result: ProbeResult, file: Path, observer: Observer) -> None:
    from clsbench.evaluation.report.plots import save_accuracy_throughput

    points = [
        (row.name, row.linear.value, row.linear.low, row.linear.high, row.probed.speed.images_per_second)
        for row in result.rows
    ]
    save_accuracy_throughput(points, file, axis="images/s of the network alone", title="linear head on frozen features")
    observer.note(f"drawn: {file}")
