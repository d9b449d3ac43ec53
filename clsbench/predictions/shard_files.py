"""ShardFile: the predictions of one shard; and whether several of them are a whole job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clsbench.errors import DataError
from clsbench.predictions.manifest import Manifest, manifest_path, read_manifest
from clsbench.predictions.shard_record import ShardRecord
from clsbench.text import counted, some


@dataclass(frozen=True)
class ShardFile:
    """The predictions of one shard.

    Args:
        file: The predictions file.
        manifest: Beside it.
        record: Which rows it has.
    """

    file: Path
    manifest: Manifest
    record: ShardRecord

    @classmethod
    def read(cls, file: Path) -> ShardFile:
        """From the manifest beside a file.

        Raises:
            DataError: if it is none, or damaged.
        """
        if not file.is_file():
            raise DataError("there is no such predictions file", where=file)
        manifest, notes = read_manifest(file)
        if manifest.shard is None:
            raise DataError(
                "this is not the predictions file of a shard", where=file,
                got="; ".join(notes) or f"no record of a shard in {manifest_path(file).name}",
                expected="a file of `clsbench infer --shard I/N`, with its manifest beside it",
            )  # fmt: skip
        return cls(file, manifest, ShardRecord.from_json(manifest.shard, where=manifest_path(file)))


def check_shards(shards: Sequence[ShardFile]) -> None:
    """Require all shards of one job, each once.

    Raises:
        DataError: naming what is missing, double or of another job.
    """
    first = shards[0]
    seen: dict[int, Path] = {}
    for shard in shards:
        for what, ours, theirs in _same(first, shard):
            if ours != theirs:
                raise DataError(
                    f"shards of two jobs: another {what}", where=shard.file, got=theirs,
                    expected=f"{ours}, as in {first.file}", code="CB-J004",
                )  # fmt: skip
        if (before := seen.setdefault(shard.record.index, shard.file)) is not shard.file:
            raise DataError(
                f"shard {shard.record.index} is there twice", where=shard.file, got=f"also in {before}", code="CB-J004"
            )
    if missing := [str(k) for k in range(1, first.record.of + 1) if k not in seen]:
        raise DataError(
            "a shard is missing", where=first.file.parent, got=f"{len(seen)} of {counted(first.record.of, 'shard')}",
            expected=f"also {some([f'{k}/{first.record.of}' for k in missing], 8)}",
            hint=f"run it with the options of the others: infer … --shard {missing[0]}/{first.record.of}",
            code="CB-J004",
        )  # fmt: skip
    rows = np.sort(np.concatenate([shard.record.rows for shard in shards]))
    if not np.array_equal(rows, np.arange(first.record.total)):
        raise DataError(
            "the shards are not the whole job", where=first.file.parent,
            got=counted(len(np.unique(rows)), "different row"), expected=f"{first.record.total:,}, each once",
            code="CB-J004",
        )  # fmt: skip


def _same(one: ShardFile, other: ShardFile) -> Iterator[tuple[str, object, object]]:
    """What all shards of a job have alike: what it is, and its value in both."""
    yield "number of shards", one.record.of, other.record.of
    yield "number of images", one.record.total, other.record.total
    yield "list of images", one.record.names, other.record.names
    yield "format", one.file.suffix.lower(), other.file.suffix.lower()
    models = [shard.manifest.model.sha256 if shard.manifest.model else None for shard in (one, other)]
    yield "model", models[0], models[1]
    thresholds = [(shard.manifest.abstained or {}).get("below") for shard in (one, other)]
    yield "threshold to abstain at", thresholds[0], thresholds[1]
    options = [dict(_decisive(shard.manifest)) for shard in (one, other)]
    yield "set of options", options[0], options[1]


def _decisive(manifest: Manifest) -> Iterator[tuple[str, object]]:
    """The options of a shard that its whole job has."""
    job = manifest.job or {}
    options = job.get("options")
    for name, value in (options if isinstance(options, dict) else {}).items():
        if name != "shard":
            yield name, value
    lasting = manifest.lasting().options
    yield from (lasting or {}).items()
