"""A run that is gone on with: what has to be as it was, and what it goes on from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clsbench.datasets.fingerprint import SplitFingerprint, fingerprint
from clsbench.errors import DataError
from clsbench.json_fields import read_fields
from clsbench.run_record import RunRecord
from clsbench.runs import Run
from clsbench.training.observer import Observer
from clsbench.training.run_state import RunState, reading
from clsbench.training.setup import Setup


@dataclass(frozen=True)
class Resumed:
    """A run that is gone on with.

    Args:
        run: Its directory.
        record: Its run.json.
        state: What it goes on from; None where it was killed before there was one, and begins again.
    """

    run: Run
    record: RunRecord
    state: RunState | None

    def go_on(self, now: RunRecord, observer: Observer) -> RunRecord:
        """The record to go on with; says where that is.

        Args:
            now: As a run that began now would have it.
            observer: Hears of it.

        Raises:
            DataError: if the images are not those that the run began with.
        """
        if changes := self._changes(now):
            raise DataError(
                "the data has changed since the run began", where=self.record.data.root or self.record.data.dataset,
                got="; ".join(changes), expected="the images that the run began with",
                hint="bring them back, or train anew: another run has other weights", code="CB-T002",
            )  # fmt: skip
        observer.note(f"resuming {self.run.path} {self._where()}")
        return dataclasses.replace(now, result=self.record.result)

    def _changes(self, now: RunRecord) -> list[str]:
        changes = []
        if now.classes != self.record.classes:
            changes.append(f"classes: {len(now.classes):,}, {len(self.record.classes):,} before, or other names")
        for split, before in self.record.fingerprint.items():
            then = read_fields(SplitFingerprint, _mapping(before), what="a run", where=self.run.record)
            if split not in now.fingerprint:
                changes.append(f"{split}: no images")
            else:
                after = read_fields(SplitFingerprint, _mapping(now.fingerprint[split]), what="a run")
                changes += [f"{split}: {change}" for change in then.changes(after)]
        return changes + [f"{split}: a new split" for split in now.fingerprint if split not in self.record.fingerprint]

    def _where(self) -> str:
        if self.state is None:
            return "from its beginning: it ended before there was a state to go on from"
        with reading(self.run.state):
            run: Any = self.state.parts["run"]
            epoch: Any = self.state.parts.get("epoch", {"batch": 0})
            text = f"in epoch {len(run['history']) + 1}"
            return f"{text} after batch {epoch['batch']}" if epoch["batch"] else text


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def fingerprint_of(setup: Setup) -> dict[str, object]:
    """The fingerprint of each split that was read."""
    return {
        name: asdict(fingerprint(images.samples, images.digests, len(images.unreadable)))
        for name, images in (("train", setup.train), ("val", setup.val), ("test", setup.test))
        if images
    }
