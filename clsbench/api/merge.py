"""``merge``: the predictions files of all shards of a job become the file of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.components import choose, metric_names
from clsbench.api.infer_rerun import Rerun, remove_features
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import OptionError
from clsbench.output_lock import exclusive, remove_leftovers
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.predictions.abstaining import Abstained
    from clsbench.predictions.manifest import Counts, JsonObject, Manifest, WrittenFeatures
    from clsbench.predictions.metric import Metrics
    from clsbench.predictions.shard_files import ShardFile


@dataclass(frozen=True, kw_only=True)
class MergeResult:
    """A whole job, made of its shards.

    Args:
        out: The predictions file.
        shards: Of how many files.
        manifest: Beside it.
        metrics: Of the labelled images; empty without any.
        abstained: How many predictions are below the model's threshold; None where it has none.
    """

    out: Path
    shards: int
    manifest: Manifest
    metrics: Metrics
    abstained: Abstained | None = None

    @property
    def counts(self) -> Counts | None:
        """Of images."""
        return self.manifest.counts

    def to_json(self) -> dict[str, Any]:
        """The manifest, and ``shards``."""
        return {**self.manifest.to_json(), "shards": self.shards}


def merge(
    shards: Sequence[str | Path], out: str | Path, *, overwrite: bool = False, observer: Observer | None = None
) -> MergeResult:
    """Join the predictions of ``infer --shard 1/N`` to ``N/N``, and prove that no image is missing or double.

    Args:
        shards: Their files, in any order, each with its manifest beside it.
        out: The predictions file of the whole, in their format.
        overwrite: Replace a file that is there already.
        observer: Hears notes, warnings and progress.

    Raises:
        OptionError: for another format.
        DataError: if a shard is missing, there twice, damaged, or of another job.
    """
    from clsbench.json_fields import dumps
    from clsbench.output_files import WholeFile, commit_together
    from clsbench.predictions.feature_file import features_path
    from clsbench.predictions.manifest import manifest_path
    from clsbench.predictions.merging import write_features, write_whole
    from clsbench.predictions.shard_files import ShardFile, check_shards

    observer, target, files = observer or Observer(), Path(out), [Path(file) for file in shards]
    if not files:
        raise OptionError("no shards were named", where="SHARDS", expected="the files of `clsbench infer --shard`")
    outputs = Outputs(observer)
    outputs.add(target, "--out", "the predictions", files[0].suffix.lower())
    outputs.add(manifest_path(target), "--out", "the manifest")
    outputs.refuse(*files, *map(manifest_path, files))
    Rerun(overwrite=overwrite).check(target)
    read = [ShardFile.read(file) for file in files]
    check_shards(read)
    features, beside = read[0].manifest.features, features_path(target)
    dim = features.dim if features and features.file else None
    if dim:
        outputs.add(beside, "--out", "the features")
        outputs.refuse(*map(features_path, files))
    observer.stage("merging")
    measured = _measure(read, observer)
    manifest = _whole(read, measured, replace(features, file=beside.name) if features and dim else features)
    whole = [WholeFile(target, "the predictions"), WholeFile(manifest_path(target), "the manifest")]
    whole += [WholeFile(beside, "the features")] if dim else []
    with exclusive(target, "the predictions"):
        try:
            for one in whole:
                remove_leftovers(one.file)
                one.begin()
            write_whole(read, whole[0].path, manifest.lasting())
            whole[1].path.write_text(dumps(manifest.to_json()), encoding="utf-8")
            if dim:
                write_features(read, whole[2].path, dim)
        except BaseException as error:
            for one in whole:
                one.abandon(error)
            if isinstance(error, OSError):
                raise whole[0].unwritable(error) from None
            raise
        commit_together(whole)
        if not dim:
            remove_features(target, observer)
    total = counted(read[0].record.total, "row")
    more = f", {beside.name}" if dim else ""
    observer.note(
        f"written: {target}{more} and {target.name}.json: {total} of {counted(len(read), 'shard')}, each once"
    )
    return MergeResult(out=target, shards=len(read), manifest=manifest, metrics=measured, abstained=_abstained(read))


def _measure(shards: Sequence[ShardFile], observer: Observer) -> Metrics:
    """The metrics of ``infer``, of all shards together."""
    from contextlib import ExitStack

    from clsbench.predictions.metric import run_metrics
    from clsbench.predictions.outcomes import joined
    from clsbench.predictions.reading import read_predictions

    chosen = choose({"metric": metric_names("infer")})["metric"]
    with ExitStack() as stack:
        filled = [shard for shard in shards if len(shard.record.rows)]
        tables = [stack.enter_context(read_predictions(shard.file)) for shard in filled]
        outcomes = joined(
            [table.outcomes() for table in tables if ((table.labels >= 0) & (table.predicted >= 0)).any()]
        )
    measured = run_metrics(outcomes, [(one.name, one.build()) for one in chosen])
    for name, reason in measured.errors.items():
        observer.warn(f"metric {name} failed: {reason}")
    return measured


def _whole(shards: Sequence[ShardFile], measured: Metrics, features: WrittenFeatures | None) -> Manifest:
    """The manifest of the whole job: what all shards share, and sums of the rest."""
    from clsbench import __version__
    from clsbench.predictions.manifest import Counts, Manifest

    first = shards[0].manifest
    counts = [shard.manifest.counts or Counts() for shard in shards]
    predicted: Counter[str] = Counter()
    for shard in shards:
        predicted.update({name: int(str(count)) for name, count in (shard.manifest.predicted or {}).items()})
    return Manifest(
        clsbench=__version__,
        started=min((shard.manifest.started or "" for shard in shards), default=None),
        images=first.images,
        model=first.model,
        device=first.device,
        options=first.options,
        labels=first.labels,
        counts=Counts(**{name: sum(getattr(one, name) or 0 for one in counts) for name in vars(counts[0])}),
        failures=_failures([shard.manifest.failures or {} for shard in shards]),
        abstained=abstained.to_json() if (abstained := _abstained(shards)) else None,
        predicted=dict(predicted.most_common()),
        metrics=measured.to_json(),
        metric_errors=dict(measured.errors),
        skipped=first.skipped,
        pixels=first.pixels,
        features=features,
        fast_decode=first.fast_decode,
    )


def _abstained(shards: Sequence[ShardFile]) -> Abstained | None:
    """How many predictions of all shards are below the threshold of the model; None where it has none."""
    from clsbench.json_fields import read_fields
    from clsbench.predictions.abstaining import Abstained

    parts = [
        read_fields(Abstained, shard.manifest.abstained, what="the manifest", where=shard.file)
        for shard in shards
        if shard.manifest.abstained is not None
    ]
    if len(parts) < len(shards):
        return None
    return Abstained(sum(one.count for one in parts), sum(one.classified for one in parts), parts[0].below)


def _failures(parts: Sequence[JsonObject]) -> JsonObject | None:
    """The failures of all shards: reason -> count and the first examples."""
    from clsbench.predictions.failures import Failures

    found = Failures()
    for part in parts:
        found.join(Failures.from_json(part))
    return found.to_json() or None
