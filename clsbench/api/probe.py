"""``probe``: which backbone is worth training on these images?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.arguments import check_at_least, check_training_packages
from clsbench.api.components import Options
from clsbench.api.data import build_dataset, choose_dataset, data_location, refuse_dataset, with_group_column
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.probe_models import component_name, make_candidates, runs_among, split_models, warn_of_runs
from clsbench.images.sources.urls import redacted
from clsbench.machine import wait_passively
from clsbench.picture_shape import GivenSize, PictureShape
from clsbench.text import counted, file_size, some

if TYPE_CHECKING:
    from clsbench.probing.candidate import Candidate
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
    group: str | None = None,
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
            colons. Published weights are taken; ``resnet18:pretrained=false`` draws random ones.
        views: Fit the linear head to so many augmented views of each image; 1 for the images as they are.
        folds: Parts that are held out in turn.
        dataset, size, options: As in :func:`train`.
        test_fraction: Part of each class to set aside, as ``train`` does with the same seed.
        data_fraction: Use this part of each class only.
        group: As in :func:`train`: what stays in one fold.
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
        test_fraction=test_fraction, data_fraction=data_fraction, group=group, seed=seed,
    )  # fmt: skip
    candidates = make_candidates(texts, picked["model"], runs, shape)
    spec.check_given(source.resolved.component.gives, where=data or source.name)
    check_training_packages()
    from clsbench.probing.pool import pool as pooled
    from clsbench.probing.probe import Settings, probe_all
    from clsbench.training.hardware import choose_device

    chosen_device = choose_device(device)
    images = build_dataset(source.resolved, root, with_group_column(source.resolved, source.options, spec))
    refuse_dataset(outputs, images, data)
    pool = pooled(images, spec, folds)
    place = f" {redacted(str(data))}" if data else ""
    _tell(pool, f"{source.resolved.component.name}{place}", folds, spec.seed, observer)
    warn_of_runs(runs, root.resolve() if isinstance(root, Path) else root, source.name, observer)
    settings = Settings(device=chosen_device, views=views, seed=spec.seed, folds=folds, keep=keep)
    result = probe_all(candidates, pool, settings, observer)
    _tell_result(result, candidates, observer)
    if chart:
        _draw(result, chart, observer)
    return result


def _tell_result(result: ProbeResult, candidates: Sequence[Candidate], observer: Observer) -> None:
    """What did not work, and what was kept."""
    from clsbench.probing.candidate import WEIGHTS

    for name, error in result.failures.items():
        observer.warn(f"{name} is not ranked: {error.one_line()}")
    if any(candidate.pretrained for candidate in candidates if candidate.name in result.failures):
        observer.note(WEIGHTS)
    if result.unreadable:
        count = counted(len(result.unreadable), "image")
        observer.warn(f"left out, as unreadable: {count}: {some(list(result.unreadable), 3)}")
    if reused := [row.name for row in result.rows if row.probed.kept]:
        observer.note(f"not evaluated, since features were kept from an earlier call: {some(reused, 10)}")
    if result.cache:
        from clsbench.probing.feature_store import stored

        size = file_size(sum(status.st_size for _, status in stored(result.cache)))
        observer.note(f"features are kept in {result.cache}, {size}; the folder may be deleted")


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
    save_accuracy_throughput(points, file, rate="images/s of the network alone")
    observer.note(f"drawn: {file}")
