"""What ``clsbench train`` says while it trains, and what an end before the last epoch leaves."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clsbench.cli.progress import TerminalObserver

TINY = ("--with", "model.size=8", "--with", "model.width=8", "--batch-size", 8)
COMMAND = [sys.executable, "-c", "from clsbench.cli.main import run; run()", "train"]


@pytest.fixture
def photos(paint):
    return paint("photos/{colour}/{k}.png", 6)


@pytest.fixture
def drawing_nothing(monkeypatch):
    """No plot is drawn, of a finished run or of another."""
    monkeypatch.setattr("clsbench.training.training_run.save_plots", lambda *_, **__: None)
    monkeypatch.setattr("clsbench.training.journal.save_curves", lambda *_, **__: None)


@pytest.fixture
def after(monkeypatch):
    """after(epoch, action): something happens when the terminal hears of an epoch."""
    heard = TerminalObserver.epoch

    def after(number, action):
        def epoch(self, result):
            heard(self, result)
            if result.epoch == number:
                action()

        monkeypatch.setattr(TerminalObserver, "epoch", epoch)

    return after


def interrupt():
    raise KeyboardInterrupt


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def epoch_lines(text):
    return [line for line in text.splitlines() if line.startswith("epoch ")]


def test_every_epoch_is_a_line_on_stderr_with_all_its_figures(cli, photos, drawing_nothing, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("train", photos, *TINY, "--epochs", 12, "--json", "t.json")
    lines, history = epoch_lines(done.stderr), json.loads(Path("t.json").read_text())["history"]
    assert len(lines) == 12
    for line, epoch in zip(lines, history, strict=True):
        words = (
            rf"epoch +{epoch['epoch']}/12 everything  loss {epoch['train_loss']:.4f}  "
            rf"val loss {epoch['val_loss']:.4f}  accuracy +{epoch['val_accuracy']:.2%}  {epoch['seconds']:.1f} s"
        )
        assert re.fullmatch(words + (r" \*" if epoch["best"] else ""), line)
        assert len(line) <= 80


def test_quiet_lists_no_epoch_while_it_trains(cli, photos, drawing_nothing):
    done = cli("train", photos, *TINY, "--epochs", 1, "-q", "--log-every", 1)
    assert done.stderr == ""
    assert "everything" in done.stdout


def test_the_loss_of_every_few_batches_is_a_line(cli, photos, drawing_nothing):
    done = cli("train", photos, *TINY, "--batch-size", 2, "--epochs", 2, "--log-every", 3)
    lines = [line.split("  ")[:2] for line in epoch_lines(done.stderr) if "batch" in line]
    assert lines == [[f"epoch {k}", f"batch {n}/7"] for k in (1, 2) for n in (3, 6)]
    assert re.search(r"  loss \d\.\d{4}  lr \d\.\de-\d\d$", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "on a terminal"])
def test_epochs_appear_as_they_end_and_an_interrupted_run_is_exported(cli, photos, terminal):
    """A process of its own: nothing of what it says may wait for its end."""
    reading, writing = pty.openpty() if terminal else os.pipe()
    command = [*COMMAND, str(photos), *map(str, TINY), "--epochs", "100000", "--run", "cut", "--seed", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=writing, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as job:  # fmt: skip
        os.close(writing)
        said = ""
        while "epoch      2/100000" not in said:
            said += os.read(reading, 4096).decode()
        job.send_signal(signal.SIGINT)
        while True:
            try:
                part = os.read(reading, 4096)
            except OSError:  # Linux's word for the end of a terminal
                break
            if not part:
                break
            said += part.decode()
    assert job.returncode == 130
    assert "runs/cut keeps its best so far" in said
    assert re.search(r"interrupted(\x1b\[0m)?$", said.strip())
    assert ("\x1b[" in said) == terminal
    if not terminal:
        assert Path("runs/cut/curves.png").read_bytes().startswith(b"\x89PNG")
        done = cli("export", "cut", "--json", "export.json")
        assert done.code == 0, done.stderr
        assert "the run was interrupted; " in done.stderr
        training = json.loads(Path("export.json").read_text())["card"]["training"]
        assert (training["status"], training["stopped"]) == ("interrupted", "interrupted by Ctrl-C")


@pytest.mark.parametrize(
    ("action", "code", "reason"),
    [(interrupt, 130, "interrupted by Ctrl-C"), (terminate, 143, "ended by SIGTERM")],
    ids=["ctrl-c", "sigterm"],
)
def test_an_end_from_outside_has_its_exit_code_and_a_run_that_says_so(
    cli, photos, drawing_nothing, after, action, code, reason
):
    after(2, action)
    done = cli("train", photos, *TINY, "--epochs", 5, "--run", "cut", "-q")
    assert done.code == code
    assert "the run ended after 2 of 5 epochs; runs/cut keeps its best so far, epoch" in done.stderr
    assert "Traceback" not in done.stderr
    record = json.loads(Path("runs/cut/run.json").read_text())
    assert (record["status"], record["result"]["stopped"]) == ("interrupted", reason)
    listed = cli("runs", "--json", "runs.json")
    assert "interrupted: cut" in listed.stdout
    assert "2/5" in listed.stdout
    (entry,) = json.loads(Path("runs.json").read_text())["runs"]
    assert (entry["status"], entry["epochs"], entry["epochs_asked"]) == ("interrupted", 2, 5)


def test_a_run_without_an_epoch_is_not_exported_and_that_is_explained(cli, photos, drawing_nothing, monkeypatch):
    monkeypatch.setattr(TerminalObserver, "loss", lambda *_: interrupt())
    done = cli("train", photos, *TINY, "--run", "cut")
    assert done.code == 130
    assert "the run ended before its first epoch was done; runs/cut holds no weights to export" in done.stderr
    done = cli("export", "cut")
    assert done.code == 1
    assert "the run was interrupted, before its first epoch had ended" in done.stderr


def test_a_run_that_was_killed_is_exported_and_said_to_be_unfinished(cli, photos, drawing_nothing, trained):
    trained(photos, *TINY, "--epochs", 2, "--run", "killed")
    file = Path("runs/killed/run.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "status": "running"}))
    Path("runs/killed/best.safetensors.partial").touch()
    done = cli("export", "killed")
    assert done.code == 0, done.stderr
    assert "the run has not finished: it is still training, or was killed; 2 of 2 epochs done" in done.stderr
    assert "runs/killed/best.safetensors.partial" in done.stderr


def test_a_time_limit_is_a_proper_end_that_is_recorded(cli, photos, drawing_nothing):
    done = cli("train", photos, *TINY, "--epochs", 500, "--max-time", "0.001s", "--run", "short")
    assert done.code == 0, done.stderr
    assert "stopped early: short" in cli("runs").stdout
    done = cli("export", "short")
    assert done.code == 0, done.stderr
    assert "the run stopped early; 1 of 500 epochs done" in done.stderr


def test_what_was_decided_is_told_before_the_first_image_is_read(cli, photos, drawing_nothing, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("clsbench.training.training_run.set_up", lambda *_, **__: interrupt())
    done = cli("train", photos, *TINY, "--lr", "1e-4,1e-2", "--max-time", "90s", "--seed", 7)
    for words in ("recipe scratch", "8×8", "0: 0.0001, 4: 0.001, head: 0.01", "adamw", "limit 90 s", "seed 7"):
        assert words in done.stderr
    assert max(len(line) for line in done.stderr.splitlines() if str(photos) not in line) <= 80


def test_the_image_size_is_an_option_that_reaches_the_file(cli, photos, drawing_nothing, trained):
    facts = trained(photos, "--size", 12, "--epochs", 1, "--run", "sized")
    assert (facts["transform"]["size"], facts["model"]["options"]["size"]) == ([12, 12], 12)
    assert cli("export", "sized", "--json", "export.json").code == 0
    assert json.loads(Path("export.json").read_text())["card"]["transform"]["size"] == [12, 12]


def test_training_on_a_fraction_is_recorded_and_found_again(cli, photos, drawing_nothing, trained):
    facts = trained(photos, *TINY, "--data-fraction", 0.4, "--epochs", 1, "--run", "part")
    assert facts["counts"] == {"train": 6, "val": 3}
    assert facts["split"]["data_fraction"] == 0.4
    done = cli("datasets", "--run", "part", "--json", "counts.json")
    counts = json.loads(Path("counts.json").read_text())["counts"].values()
    assert [count["train"] for count in counts] == [2, 2, 2]
    assert "not the run's" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", 7], ["an even size", "size=7"]),
        (["--size", 0], ["--size", "1 to 2048"]),
        (["--size", 10**6], ["--size", "1 to 2048"]),
        (["--size", 16, "--with", "model.size=8"], ["given twice", "--size", "16 and 8 by --with"]),
        (["--data-fraction", 0], ["--data-fraction", "above 0, at most 1"]),
        (["--data-fraction", 2], ["--data-fraction", "above 0, at most 1"]),
        (["--lr", "1e-4,1e-6"], ["--lr", "FIRST <= LAST"]),
        (["--seed", 10**30], ["--seed", "at most 4294967295"]),
        (["--run", "x" * 300], ["--run", "300 bytes", "at most 255"]),
    ],
    ids=lambda value: str(value[0])[:15],
)
def test_wrong_usage_is_refused_before_any_work(refused, photos, arguments, words):
    done = refused(2, words, "train", photos, *arguments)
    assert "Training " not in done.stderr
    assert not Path("runs").exists()


def test_a_split_that_cannot_be_read_is_named_before_the_training_images_are_read(refused, paint):
    photos = paint("split/train/{colour}/{k}.png", 4)
    for file in paint("split/val/{colour}/{k}.png", 2).glob("val/*/*.png"):
        file.write_bytes(b"broken")
    refused(1, ["none of the images can be read", "where: the val split"], "train", photos, *TINY)
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", ["train", "find-lr"])
def test_the_options_of_the_help_stand_under_headings_in_80_columns(cli, command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli(command, "--help").stdout.splitlines()
    headings = [line for line in lines if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert headings[:5] == [
        "Arguments:", "Data:", "Network and recipe:", "Learning rate and optimizer:", "Augmentation and loss:"
    ]  # fmt: skip
    assert headings[-2:] == ["Output:", "Options:"]
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[lines.index("Options:") + 1 :] if line] == ["-h,"]
