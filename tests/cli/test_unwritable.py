"""What cannot be written is said before the work, in one clear message; and never as a fault of clsbench."""

import errno
import os
from pathlib import Path

import pytest

from clsbench.api import export, trained
from clsbench.cli import failures
from clsbench.errors import ClsbenchError

PREDS = "path,label,predicted,confidence\nred/0.png,red,red,0.9\nblue/0.png,blue,red,0.8\n"

COMMANDS = [
    (["train", "photos"], "the run"),
    (["find-lr", "photos"], "the image"),
    (["probe", "photos", "--models", "resnet18", "--plot", "plot.png"], "the plot"),
    (["show", "photos"], "the image"),
    (["show", "a.csv", "--images", "photos/val"], "the image"),
    (["infer", "photos/val", "--out", "preds.csv"], "the predictions"),
    (["infer", "photos/val", "--out", "preds.parquet"], "the predictions"),
    (["evaluate", "a.csv", "--html", "page.html"], "the report"),
    (["evaluate", "a.csv", "--plots", "plots"], "the plots"),
    (["report", "a.csv"], "the report"),
    (["compare", "a.csv", "b.csv", "--plot", "plot.png"], "the plot"),
    (["export", "--model", "resnet18", "--out", "model.onnx"], "the model"),
    (["datasets", "folder", "photos", "--split", "train", "--write", "written"], "the images"),
    *((words.split(), "the JSON") for words in ("runs --json facts.json", "evaluate a.csv --json facts.json")),
]


@pytest.fixture
def here(photos, cli):
    for name in ("a.csv", "b.csv"):
        Path(name).write_text(PREDS)
    return sorted(Path().iterdir())


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.EACCES, "you may write to"), (errno.ENOSPC, "free some space"), (errno.EROFS, "read-only")],
)
@pytest.mark.parametrize(("arguments", "what"), COMMANDS, ids=[" ".join(arguments) for arguments, _ in COMMANDS])
def test_a_folder_that_takes_no_file(refused, here, tiny_onnx, monkeypatch, arguments, what, code, remedy):
    def unwritable(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("tempfile.TemporaryFile", unwritable)
    monkeypatch.setattr(export, "as_it_is", lambda *_: trained.Trained("net", None, None, None, Path()))
    more = ["--model", tiny_onnx] if arguments[0] == "infer" else []
    refused(1, [f"{what} cannot be written", os.strerror(code), remedy], *arguments, *more)
    assert sorted(Path().iterdir()) == here


def test_an_error_of_the_system_is_not_a_fault_of_clsbench(capsys):
    assert failures.explain(PermissionError(errno.EACCES, "Permission denied", "photos/1.png")) == 1
    assert capsys.readouterr().err == (
        "error: a file cannot be read or written\n  where: photos/1.png\n  got: Permission denied\n"
    )
    assert failures.explain(OSError(errno.ENOSPC, "No space left on device")) == 1
    assert "to do: free some space" in capsys.readouterr().err


def test_exhausted_memory_is_not_a_fault_of_clsbench(capsys):
    assert failures.explain(MemoryError()) == 1
    assert "not enough memory" in capsys.readouterr().err


def test_a_fault_of_clsbench_is_called_one_and_steers_no_terminal(capsys):
    assert failures.explain(KeyError("\x1b[31m" + "x" * 100_000)) == 1
    shown = capsys.readouterr().err
    assert "fault of clsbench" in shown
    assert "\x1b" not in shown
    assert len(shown) < 2000


def test_an_interrupt_tells_what_became_of_the_files(capsys):
    interrupt = KeyboardInterrupt()
    interrupt.add_note("preds.csv was not written")
    wrapped = ClsbenchError("closed")
    wrapped.__cause__ = interrupt
    assert failures.explain(wrapped) == 130
    assert capsys.readouterr().err == "interrupted\n  preds.csv was not written\n"
