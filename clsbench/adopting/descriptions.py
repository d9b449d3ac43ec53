"""Everything that others wrote about a model file: in its metadata, and in well-known files beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from clsbench.adopting.description import MAX_CLASSES, Description, Draft
from clsbench.adopting.huggingface_config import describe_huggingface, is_huggingfaces
from clsbench.adopting.onnx_metadata import describe_metadata
from clsbench.adopting.timm_config import describe_timm, is_timms
from clsbench.adopting.ultralytics_metadata import describe_ultralytics, is_ultralytics
from clsbench.errors import ModelError
from clsbench.json_fields import parse_object
from clsbench.text import file_size, on_one_line, printable

__all__ = ["Description", "describe_beside"]

#: The largest file that is read, bytes: ``config.json`` of ImageNet-21k has 2 MB.
MAX_BYTES = 16_000_000

#: A broken ``config.json`` that holds none of these words is another program's.
OURS = (b'"pretrained_cfg"', b'"architecture"', b'"id2label"', b'"model_type"')

#: Files of class names, one a line, beside those with the model's own name.
LABEL_FILES = ("labels.txt", "classes.txt", "class_names.txt")


#: A line of such a file with its position: ``0 ant``, ``0: ant``.
_NUMBERED = re.compile(r"(\d{1,7})\s*[\s:,]\s*(.+)", re.ASCII)


def describe_beside(file: Path, metadata: Mapping[str, str]) -> tuple[Description, ...]:
    """What a model file's metadata and the files beside it say about its preprocessing and classes.

    Args:
        file: The .onnx file. In a folder called ``onnx``, as in repositories of the Hugging Face hub, the files may
            also lie in the folder above.
        metadata: Texts by key, of the file.

    Returns:
        One for each origin that says anything; the most specific first. They may contradict each other.

    Raises:
        ModelError: if a file cannot be read or is damaged; names it.
    """
    folders = [file.parent, *([file.absolute().parent.parent] if file.absolute().parent.name == "onnx" else [])]
    found = [describe_ultralytics(metadata) if is_ultralytics(metadata) else describe_metadata(metadata)]
    preprocessor = _object(_first(folders, "preprocessor_config.json"), certain=True)
    config = _object(_first(folders, "config.json"), certain=False) or {}
    timms = is_timms(config)
    theirs = is_huggingfaces(config) and not timms
    if preprocessor is not None or theirs:
        names = ["preprocessor_config.json"] * (preprocessor is not None) + ["config.json"] * theirs
        origin = f"{' and '.join(names)} (Hugging Face)"
        found.append(describe_huggingface(preprocessor, config if theirs else None, origin))
    if timms:
        found.append(describe_timm(config))
    found += [_labels(path) for path in _label_files(file, folders)]
    return tuple(one for one in found if one.states_something or one.noted)


def _first(folders: list[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _label_files(file: Path, folders: list[Path]) -> list[Path]:
    """Those with the model's own name; only where there are none, those with a usual one or a usual ending."""
    own = [file.with_suffix(ending) for ending in (".labels", ".labels.txt", ".classes.txt")]
    if there := [path for path in own if path.is_file()]:
        return there
    usual = [path for name in LABEL_FILES if (path := _first(folders, name)) is not None]
    return usual + sorted(path for path in file.parent.glob("*.labels") if path.is_file())[:3]


def _read(path: Path) -> bytes:
    """The bytes of a file of reasonable size."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(
                "a description beside the model is too large",
                where=path, got=file_size(size), expected=f"at most {file_size(MAX_BYTES)}",
                hint="move it away, and describe the model by flags",
            )  # fmt: skip
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            "a description beside the model cannot be read", where=path, got=error.strerror or error
        ) from None


def _object(path: Path | None, *, certain: bool) -> Mapping[str, object] | None:
    """The JSON object in a file; None if there is no file, or it is another program's.

    Args:
        path: The file.
        certain: Whether its name says whose it is.
    """
    if path is None:
        return None
    data = _read(path)
    certain = certain or any(word in data for word in OURS)
    try:
        return parse_object(data, what="a description beside the model", where=path)
    except ModelError:
        if certain:
            raise
        return None


def _labels(path: Path) -> Description:
    """Class names, one a line, with their positions before them or without: ``0 ant``, ``0: ant``."""
    name = on_one_line(printable(path.name))
    draft = Draft(name)
    try:
        text = _read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError("a list of classes beside the model is not UTF-8", where=path, got=error) from None
    lines = [line.strip() for line in text.rstrip().splitlines()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines[: MAX_CLASSES + 1]]
    names = [match[2] for k, match in enumerate(numbered) if match is not None and match[1] == str(k)]
    draft.name_classes(names if len(names) == len(lines) else lines, name)
    return draft.finish()
