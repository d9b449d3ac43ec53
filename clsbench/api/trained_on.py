"""Whether images are those that a model was trained on: its accuracy on them says little of new ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clsbench.text import command, counted


def trained_on(model: str | Path | None, root: str | Path | None, names: Iterable[str]) -> str | None:
    """What a user should know where a model of a run meets images of that run's training data.

    Args:
        model: The .onnx file; only one that lies in its run's directory tells what it was trained on.
        root: The folder of the images: that of the run's dataset, or one in it.
        names: Of the images, relative to the folder.

    Returns:
        One sentence; None where none of the images is known to have been trained on.
    """
    from clsbench.datasets.recorded import SplitRecord
    from clsbench.errors import ClsbenchError
    from clsbench.runs import Run

    if model is None or root is None or not (run := Run(Path(model).parent)).record.is_file():
        return None
    try:
        record = run.read_record()
        splits = SplitRecord.from_json(record.splits)
        inside = Path(root).resolve().relative_to(Path(record.data.root or "").resolve()).as_posix()
    except (ClsbenchError, ValueError):  # a run that cannot be read, or a folder outside of its data
        return None
    if record.data.root is None:
        return None
    start, held_out = "" if inside == "." else f"{inside}/", {*splits.val, *splits.test}
    total = seen = 0
    for name in names:
        total, seen = total + 1, seen + (start + name not in held_out)
    if not seen:
        return None
    most = "up to " if record.split.get("data_fraction") else ""
    return (
        f"the model was trained on {most}{seen:,} of {counted(total, 'image')} here, so the figures say little of new "
        f"images; {command('evaluate', run.path)} judges those that it has not seen"
    )
