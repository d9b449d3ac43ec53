"""Weights that a training starts from: a file, or a run of one's own, of which more is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import runs
from clsbench.api.components import Chosen
from clsbench.errors import ModelError, OptionError
from clsbench.run_record import RunRecord
from clsbench.runs import Run
from clsbench.text import some

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier

#: Options of a model that say where its weights come from, and not what it is.
SOURCES = ("pretrained", "weights")


@dataclass(frozen=True)
class StartingWeights:
    """Where weights come from.

    Args:
        file: The file.
        run: The run that wrote it, where it lies beside a run.json.
        record: The content of that.
    """

    file: Path
    run: Run | None = None
    record: RunRecord | None = None

    def network(self, chosen: Chosen) -> Chosen:
        """The model that is to take the weights; of a run's model the options are kept, unless others were given.

        Raises:
            OptionError: if the run trained another model.
        """
        if self.record is None:
            return chosen
        trained = self.record.model
        if trained.name != chosen.name:
            name = trained.name.removeprefix("clsbench/")
            raise OptionError(
                "the weights are those of another model", where=self.file, got=chosen.name, expected=trained.name,
                hint=f"--model {name}",
            )  # fmt: skip
        return chosen.offered(**{name: value for name, value in trained.options.items() if name not in SOURCES})

    def compare(self, classifier: Classifier, classes: Sequence[str]) -> None:
        """Say in ``classifier.loaded`` what stayed as it was in the run; other classes get a new head.

        Args:
            classifier: With the weights.
            classes: Of the training that begins.
        """
        if self.run is None or self.record is None or classifier.loaded is None:
            return
        now, then = classifier.transform.to_json(), self.record.transform.to_json()
        classifier.loaded = dataclasses.replace(
            classifier.loaded,
            run=self.run.name,
            run_recipe=str(self.record.training.get("recipe", "?")),
            transform_change=tuple(
                f"{name} {now.get(name, 'mean')}, was {then.get(name, 'mean')}"  # only a padding may be left out
                for name in now | then
                if now.get(name) != then.get(name)
            ),
            head_reason="the classes are the same" if classifier.loaded.head else classifier.loaded.head_reason,
        )
        if tuple(classes) != self.record.classes:
            from clsbench.models.heads import renew_head

            renew_head(classifier, f"the run's classes are others ({some(self.record.classes, 3)})")


def find_weights(weights: str | Path) -> StartingWeights:
    """What a user means by ``--weights``: a file, or the name or directory of a run for its best weights.

    Raises:
        ModelError: if there is neither, or a run.json beside the file cannot be read.
    """
    file = Path(weights)
    if not file.exists() or file.is_dir():
        if not runs.is_run(file):
            known = [run.name for run in reversed(runs.everything())]
            raise ModelError(
                "the weights file does not exist", where=file,
                expected=f"a file, or a run: {some(known)}" if known else "a .safetensors or torch file, or a run",
            )  # fmt: skip
        file = runs.find(str(weights)).best
    run = Run(file.parent.resolve())
    if file.name in (run.best.name, run.last.name) and run.record.is_file():
        return StartingWeights(file, run, run.read_record())
    return StartingWeights(file)
