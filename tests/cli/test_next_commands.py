"""Every ``next:`` line is a command that can be typed as it stands, in a folder whose name has to be quoted."""

import re
import shlex

import pytest

TINY = ("--epochs", 1, "--batch-size", 8, "--device", "cpu", "--with", "model.size=16", "--with", "model.channels=4",
        "--with", "model.width=8")  # fmt: skip


@pytest.fixture
def typed(cli):
    """typed(*arguments): run a command without an error; returns the commands that it names as the next ones."""

    def run(*arguments):
        done = cli(*arguments)
        assert done.code == 0, done.stderr
        lines = re.findall(r"^next: (.*)$", done.stderr, re.MULTILINE)
        words = [shlex.split(line, comments=True) for line in lines]
        assert {program for program, *_ in words} <= {"clsbench"}
        return [rest for _, *rest in words]

    return run


def test_each_step_names_the_next_and_all_of_them_run(typed, paint, tmp_path, without_curves):
    paint("photos/{colour}/{k}.png", 8).rename(tmp_path / "my photos")
    named = {
        "train": typed("train", "my photos", *TINY, "--test-fraction", 0.25, "--run", "my run"),
        "export": typed("export", "my run"),
        "infer": typed("infer", "my photos", "--out", "my a.csv"),
        "evaluate": typed("evaluate", "my a.csv"),
        "report": typed("report", "my a.csv"),
    }
    assert {step: [words[0] for words in found] for step, found in named.items()} == {
        "train": ["evaluate", "export"],
        "export": ["evaluate"],
        "infer": ["evaluate"],
        "evaluate": ["report", "show"],
        "report": ["show"],
    }
    typed("infer", "my photos", "--out", "b.csv", "-q")
    assert [words[0] for words in typed("compare", "my a.csv", "b.csv")] == ["report"]
    for words in {tuple(words) for found in named.values() for words in found}:
        typed(*words)


def test_find_lr_names_the_training_that_it_is_for(typed, paint):
    folder = paint("flat/{colour}_{k}.png", 6)
    asked = ("--dataset", "regex", "--batch-size", 6, "--with", "model.size=16", "--with", "model.width=8")
    (words,) = typed("find-lr", folder, *asked, "--steps", 20)
    assert words[:2] == ["train", str(folder)]
    assert words[-2] == "--lr"
    for flag, value in zip(asked[::2], asked[1::2], strict=True):
        assert f"{flag} {value}" in " ".join(words)
    typed(*words, "--epochs", 1)
