"""All candidates on the same images and folds, ranked by the paired test of ``compare``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clsbench.errors import ClsbenchError, DataError, ModelError
from clsbench.images.loader import ImageLoader
from clsbench.images.sources.source import reading_threads
from clsbench.machine import available_cores
from clsbench.models.classifier import Classifier, check_outputs
from clsbench.probing.candidate import WEIGHTS, Candidate, Probed
from clsbench.probing.extraction import Hearing, extract, frozen, key_of
from clsbench.probing.feature_store import DIGEST, FeatureStore, features_folder
from clsbench.probing.linear_head import linear_answers
from clsbench.probing.neighbours import neighbour_answers
from clsbench.probing.pool import Pool
from clsbench.probing.result import ProbeResult, ranked
from clsbench.probing.speed import measure_speed
from clsbench.text import on_one_line
from clsbench.training.augmentation import Augmentation
from clsbench.training.hardware import put_on
from clsbench.training.stored_images import StoredImages
from clsbench.transform import ImageTransform


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to probe.

    Args:
        device: ``cpu`` or ``cuda``.
        views: 1 to fit the linear head to the images as they are; more to fit it to so many augmented views of each.
        seed: Of weights that are drawn, and of everything else random.
        folds: Of the pool.
        keep: Whether to use and to keep features in the cache folder.
    """

    device: str = "cpu"
    views: int = 1
    seed: int = 0
    folds: int = 5
    keep: bool = True


def probe_all(candidates: Sequence[Candidate], pool: Pool, settings: Settings, hearing: Hearing) -> ProbeResult:
    """Probe each candidate on the same images and folds; one that fails costs its own row only.

    Args:
        candidates: With different names.
        pool: Labelled images in folds.
        settings: How.
        hearing: Hears how it goes.

    Raises:
        ModelError: if every candidate failed.
        DataError: if no image can be read.
    """
    digests, there, unreadable = digest_images(pool, hearing)
    judged, failures, found = pool.only(there), dict[str, ClsbenchError](), []
    for candidate in candidates:
        try:
            with candidate.guard():
                found.append(probe_one(candidate, judged, digests[there], settings, hearing))
        except ClsbenchError as error:
            failures[candidate.name] = error
        except (MemoryError, RuntimeError) as error:  # RuntimeError is also torch's, such as of a GPU without memory
            failures[candidate.name] = ModelError("it cannot be evaluated", got=f"{type(error).__name__}: {error}")
        if settings.device == "cuda":
            torch.cuda.empty_cache()
    if not found:
        reasons = [
            f"{name}: {error.what}" + (f" ({on_one_line(str(got))})" if (got := error.facts.get("got")) else "")
            for name, error in failures.items()
        ]
        raise ModelError(
            "none of the models can be probed", got="; ".join(reasons),
            hint=WEIGHTS if any(candidate.pretrained for candidate in candidates) else None,
        )  # fmt: skip
    return ranked(
        found, failures, judged, unreadable=unreadable, folds=settings.folds, views=settings.views,
        seed=settings.seed, device=settings.device, cache=features_folder() if settings.keep else None,
    )  # fmt: skip


def digest_images(pool: Pool, hearing: Hearing) -> tuple[NDArray[np.uint8], NDArray[np.bool_], dict[str, str]]:
    """Digests uint8 (N, 16) of the images' content, which of them have any, bool (N,), and why the others have none.

    Raises:
        DataError: if no image can be read.
    """
    threads = reading_threads([sample.image for sample in pool.samples[:64]], available_cores())
    transform = ImageTransform(size=(1, 1))
    images = StoredImages(
        pool.samples, ImageLoader(transform), Augmentation("none", transform, len(pool.samples)), threads=threads
    )
    hearing.stage("reading", len(pool.samples))
    images.prepare("off", Path(), hearing.advance, decode=False)
    rows = np.zeros((len(pool.samples), DIGEST), np.uint8)
    for row, sample in enumerate(pool.samples):
        if digest := images.digests.get(sample.name):
            rows[row] = np.frombuffer(digest, np.uint8)
    there = np.array([sample.name in images.digests for sample in pool.samples])
    return rows, there, images.unreadable


def probe_one(
    candidate: Candidate, pool: Pool, digests: NDArray[np.uint8], settings: Settings, hearing: Hearing
) -> Probed:
    """Evaluate a backbone as far as its features are not kept, and judge both heads on them.

    Args:
        candidate: The backbone.
        pool: N images in folds.
        digests: uint8 (N, 16), of their content.
        settings: How.
        hearing: Hears how it goes.

    Raises:
        ClsbenchError: if the network cannot be built or evaluated.
    """
    device, seed, views = torch.device(settings.device), settings.seed, settings.views
    classifier = _built(candidate, len(pool.classes), seed, hearing)
    put_on(device, classifier)
    classifier.eval()
    key = key_of(classifier, candidate.model, device)
    store = FeatureStore(key, classifier.feature_dim) if settings.keep else None
    total = len(pool.samples) * (1 if views == 1 else 1 + views)
    backbone, threads = frozen(classifier, device, total)
    with threads:
        found = extract(
            classifier, pool.samples, digests, store=store, device=device, backbone=backbone, hearing=hearing,
            name=candidate.name, views=views, mirrored=pool.mirrored, seed=seed,
        )  # fmt: skip
        if not found.readable.any():
            raise DataError("none of the images can be read", got=next(iter(found.unreadable.values()), None))
        hearing.stage(f"speed of {candidate.name}")
        speed = measure_speed(classifier, backbone, device, key, again=not settings.keep)
    started, rows = time.perf_counter(), np.flatnonzero(found.readable)
    hearing.stage(f"heads of {candidate.name}", len(np.unique(pool.folds)))
    read, features = pool.only(found.readable), found.plain[rows]
    labels, folds = read.labels, read.folds
    heads = linear_answers(
        features, labels, folds, groups=read.groups, seed=seed, heard=hearing.advance,
        views=None if found.views is None else found.views[:, rows],
    )  # fmt: skip
    linear, neighbours = (np.full(len(pool.samples), -1, np.int64) for _ in range(2))
    linear[rows], neighbours[rows] = heads.predicted, neighbour_answers(features, labels, folds)
    return Probed(
        candidate=candidate,
        linear=linear,
        neighbours=neighbours,
        strengths=heads.strengths,
        unconverged=heads.unconverged,
        parameters=sum(p.numel() for p in classifier.backbone.parameters()),
        feature_dim=classifier.feature_dim,
        speed=speed,
        evaluated=found.evaluated,
        feature_seconds=found.seconds,
        head_seconds=time.perf_counter() - started,
        unreadable=found.unreadable,
    )


def _built(candidate: Candidate, num_classes: int, seed: int, hearing: Hearing) -> Classifier:
    """The network on the CPU; the same weights each time, where they are drawn."""
    torch.manual_seed(seed)
    classifier = candidate.build(num_classes)
    if not isinstance(classifier, Classifier):
        raise ModelError(f"{candidate.name} did not build a Classifier", got=type(classifier).__name__)
    check_outputs(classifier, num_classes, name=candidate.name)
    if (loaded := classifier.loaded) and not loaded.complete:
        hearing.warn(f"{candidate.name}: weights: {loaded}")
    return classifier
