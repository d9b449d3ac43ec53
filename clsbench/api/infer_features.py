"""Where the features of an inference job go: into the predictions file, or into one beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clsbench.api.components import Chosen
from clsbench.errors import OptionError
from clsbench.options import option_types

#: The option of a writer that puts the features into its file.
OPTION = "features"


@dataclass(frozen=True)
class Features:
    """What becomes of the features of a job.

    Args:
        asked: Whether it is to give them.
        file: The file beside the predictions that gets them; None where these have them, or nothing is written.
    """

    asked: bool
    file: Path | None = None


def features_of(
    asked: bool, target: Path | BinaryIO | None, file: Path | None, writers: Sequence[Chosen], *, keep_rows: bool
) -> Features:
    """Settle where the features go: into the predictions file, if its writer has an option for that, else beside it.

    Args:
        asked: Whether the user wants them.
        target: What is written.
        file: The same, if it is a file that lasts.
        writers: That write it.
        keep_rows: Whether the result keeps them.

    Raises:
        OptionError: if they would go nowhere, or options contradict each other.
    """
    if asked and any(one.options.get(OPTION) is False for one in writers):
        raise OptionError(
            "features are asked for and left out", where="--features", got=f"--with writer.{OPTION}=false"
        )
    if any(OPTION in option_types(one.resolved.component.build) for one in writers):
        return Features(asked or any(one.options.get(OPTION) for one in writers))
    if not asked:
        return Features(False)
    if target is not None and file is None:
        raise OptionError(
            "a stream has no room for features", where="--features", expected="a file",
            hint="write one, with --out preds.parquet or --out preds.csv",
        )  # fmt: skip
    if file is None and not keep_rows:
        raise OptionError("features are written to a file", where="--features", hint="add --out preds.parquet")
    from clsbench.predictions.feature_file import features_path

    return Features(True, features_path(file) if file else None)
