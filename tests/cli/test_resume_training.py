"""``train --resume`` and ``train --config``: runs that are gone on with, and trained again."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from clsbench import Observer, train
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.output_lock import exclusive
from clsbench.runs import Run
from clsbench.training.config import TrainConfig
from tests.training.test_resume import check_same, log_of

pytestmark = pytest.mark.usefixtures("without_curves")

TINY = {"batch_size": 4, "options": {"model.size": 8, "model.width": 8}, "device": "cpu"}


@pytest.fixture(autouse=True)
def no_curves_of_an_interrupted_run(monkeypatch):
    monkeypatch.setattr("clsbench.training.journal.save_curves", lambda *arguments, **named: None)


@pytest.fixture
def photos(paint):
    """Class folders with eight images each, and no split."""
    return paint("photos/{colour}/{k}.png", 8)


class Impatient(Observer):
    """Interrupts a training after so many images and batches."""

    def __init__(self, after):
        self.after, self.notes, self.warnings = after, [], []

    def advance(self, count, errors=0):
        self.after -= count
        if self.after < 0:
            raise KeyboardInterrupt

    def note(self, text):
        self.notes.append(text)

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture
def interrupted(photos, cli):
    """The name of a run that was interrupted in its second epoch; its images are photos."""
    with pytest.raises(KeyboardInterrupt):
        train(photos, **TINY, epochs=3, run="mine", observer=Impatient(24 + 5))
    return "mine"


def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random.seed("killed")
    jobs: list[dict[str, object]] = []
    trainings: dict[str, dict[str, object]] = {
        "scratch": {"epochs": 4, "augment": "trivial", "head": "mlp:8,dropout=0.3", "ema": 0.9},
        "fine-tune": {
            "recipe": "fine-tune",
            "weights": "runs/scratch",
            "epochs": 2,
            "freeze_epochs": 2,
            "cache": "off",
        },
    }
    for name, options in trainings.items():
        given = {**TINY, **options, "data": str(photos), "checkpoint_every": 1}
        points = sorted(random.sample(range(10, 24 + 18), 4))
        endings = [{random.choice(["kill_at", "kill_at", "interrupt_at"]): point} for point in points]
        jobs.append({"options": {**given, "run": name}, "attempts": [{}]})
        jobs.append({"options": {**given, "run": f"{name}-killed"}, "attempts": [*endings, {}]})
    script = Path(__file__).with_name("killed_trainings.py")
    done = subprocess.run([sys.executable, script, json.dumps(jobs)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert [attempts[-1] for attempts in ended] == [0] * 4, done.stderr
    for attempts in (ended[1], ended[3]):
        assert set(attempts[:-1]) <= {-9, 130}, done.stderr
    for name in ("scratch", "fine-tune"):
        check_same(Run(Path("runs") / name), Run(Path("runs") / f"{name}-killed"))


def test_the_command_goes_on_with_the_run_it_names_or_with_the_latest(cli, photos, interrupted, tmp_path):
    whole = train(photos, **TINY, epochs=3, run="whole")
    done = cli("train", "runs/mine", "--resume", "--json", "train.json")
    assert done.code == 0, done.stderr
    assert "resuming runs/mine in epoch 2 after batch 2" in done.stderr
    check_same(whole.run, Run(tmp_path / "runs" / "mine"))
    facts = json.loads(Path("train.json").read_text())
    assert [epoch["epoch"] for epoch in facts["history"]] == [1, 2, 3]
    assert facts["status"] == "finished"


def test_ctrl_c_says_how_to_go_on(cli, photos):
    observer = Impatient(24 + 7)
    with pytest.raises(KeyboardInterrupt):
        train(photos, **TINY, epochs=3, run="mine", observer=observer)
    (warning,) = observer.warnings
    assert warning.splitlines()[1:] == [
        "  next: clsbench train --resume runs/mine",
        "  next: clsbench export runs/mine",
    ]
    assert cli("train", "--resume").code == 0  # as that command line reads


def test_a_run_that_has_ended_has_nothing_to_resume_and_others_are_named(cli, photos, interrupted):
    train(photos, **TINY, epochs=1, run="done")
    done = cli("train", "--resume")
    assert done.code == 1
    assert "there is nothing to resume: the run has ended" in done.stderr
    assert "a run that was killed or interrupted: mine" in done.stderr


@pytest.mark.parametrize(
    ("option", "named"),
    [(("--epochs", 5), "--epochs"), (("--model", "resnet18"), "--model"), (("--val-fraction", 0.3), "--val-fraction"),
     (("--with", "model.width=4"), "--with"), (("--run", "other"), "--run"), (("--seed", 0), "--seed"),
     (("--ignore", "CB-D003"), "--ignore")],
)  # fmt: skip
def test_other_options_are_refused_beside_resume(option, named, cli, interrupted):
    done = cli("train", "--resume", *option)
    assert done.code == 2
    assert "a run that is resumed goes on as it began" in done.stderr
    assert f"where: {named}" in done.stderr


def test_findings_that_the_run_ignored_are_ignored_when_it_goes_on(photos, cli, tmp_path):
    photos.joinpath("blue/copy.png").write_bytes(photos.joinpath("red/1.png").read_bytes())
    with pytest.raises(KeyboardInterrupt):
        train(photos, **TINY, epochs=3, run="mine", ignore="contradictions,CB-D003", observer=Impatient(24 + 8))
    before = json.loads((tmp_path / "runs/mine/run.json").read_text())["check"]
    assert "CB-D002" in [found["code"] for found in before["ignored"]]
    done = cli("train", "--resume", "--json", "train.json")
    assert done.code == 0, done.stderr
    assert "CB-D" not in done.stderr
    assert json.loads(Path("train.json").read_text())["check"] == before


def test_changed_images_are_refused(cli, interrupted, photos):
    photos.joinpath("red/1.png").write_bytes(photos.joinpath("red/2.png").read_bytes())
    with pytest.raises(DataError, match="the data has changed since the run began"):
        train(resume="mine")
    photos.joinpath("red/1.png").unlink()
    with pytest.raises(DataError, match="has changed since the run began"):
        train(resume="mine")


def test_a_run_that_is_still_training_is_left_alone(interrupted):
    run = Run(Path("runs/mine"))
    with exclusive(run.state, "the state"), pytest.raises(DataError, match="the run is still training") as caught:
        train(resume=True)
    assert "process" in caught.value.facts["got"]


def test_a_damaged_or_missing_state_is_an_error(interrupted):
    run = Run(Path("runs/mine"))
    run.state.write_bytes(run.state.read_bytes()[:500])
    with pytest.raises(ModelError, match="the state of the run cannot be read") as caught:
        train(resume="mine")
    assert "clsbench train --config runs/mine" in caught.value.facts["to do"]
    run.state.unlink()
    with pytest.raises(ModelError, match="no state to resume from"):
        train(resume="mine")


def test_a_run_with_weights_of_another_goes_on_from_elsewhere(photos, interrupted, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        train(photos, **TINY, epochs=2, run="next", weights=interrupted, recipe="frozen", observer=Impatient(24 + 5))
    (tmp_path / "elsewhere").mkdir()
    run = Path("runs/next").absolute()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train(resume=run).run.read_record().status == "finished"


def test_a_link_in_a_strangers_run_does_not_lead_to_a_file_elsewhere(interrupted):
    log, precious = Run(Path("runs") / interrupted).log, Path("precious.txt")
    precious.write_text("mine")
    log.unlink()
    log.symlink_to(precious.absolute())
    with pytest.raises(DataError, match="a file of the run is a link"):
        train(resume=interrupted)
    assert precious.read_text() == "mine"


EDITS = [("training", {"evil": 1}), ("training", {"epochs": "many"}), ("split", {"evil": 1}), ("split", {"folds": "x"})]


@pytest.mark.parametrize(("part", "edit"), EDITS)
def test_a_run_json_that_was_edited_is_an_error_that_names_the_option(part, edit, interrupted):
    record = Run(Path("runs") / interrupted).record
    values = json.loads(record.read_text())
    values[part] |= edit
    record.write_text(json.dumps(values))
    (name,) = edit
    with pytest.raises(ModelError, match="a run cannot be read") as caught:
        train(resume=interrupted)
    assert name in caught.value.facts["got"]
    with pytest.raises((ModelError, OptionError), match=f"cannot be read|no option 'evil'|{name} has the wrong type"):
        train(config=interrupted)


def test_a_config_of_an_unknown_recipe_is_refused(interrupted):
    record = Run(Path("runs") / interrupted).record
    values = json.loads(record.read_text())
    values["training"]["recipe"] = "\x1b[2J"
    record.write_text(json.dumps(values))
    with pytest.raises(OptionError, match="unknown recipe"):
        train(config=interrupted)


def test_a_state_of_another_version_is_warned_of(interrupted, monkeypatch):
    state = Run(Path("runs/mine")).state
    content, begin = state.read_bytes(), b'\\"torch\\": \\"'
    at = content.index(begin) + len(begin)
    state.write_bytes(content[:at] + b"9" + content[at + 1 :])
    observer = Impatient(10**9)
    train(resume="mine", observer=observer)
    assert any("may differ from those of an uninterrupted run" in text for text in observer.warnings)


def test_fresh_processes_give_the_same_bits(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [str(photos), "--epochs", "2", "--augment", "rand", "--with", "model.size=8", "--with", "model.width=8"]
    for name in ("one", "two"):
        command = [sys.executable, "-m", "clsbench", "train", *arguments, "--device", "cpu", "--run", name, "-q"]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    check_same(Run(Path("runs/one")), Run(Path("runs/two")))


REPEATED = [
    {"epochs": 2, "augment": "none", "val_fraction": 0.4, "seed": 5, "lr": 0.01, "resize": "squash"},
    {"epochs": 1, "lr": "auto", "max_time": "10m", "folds": 3, "fold": 2},
    {"recipe": "fine-tune", "weights": "runs/first", "epochs": 1, "freeze_epochs": 1, "lr": "1e-4,1e-3"},
    {"recipe": "fine-tune", "weights": "runs/first", "epochs": 1, "freeze_epochs": 0, "lr": "1e-4,1e-3"},
    {"recipe": "frozen", "weights": "runs/first", "epochs": 2, "augment": "basic"},
    {"recipe": "frozen", "weights": "runs/first", "epochs": 2, "views": 2, "data_fraction": 0.6},
]


@pytest.mark.parametrize("given", REPEATED, ids=range(len(REPEATED)))
def test_a_run_is_trained_again_by_its_run_json(given, cli, photos):
    if "weights" in given:
        train(photos, **TINY, epochs=1, run="first")
    first = train(photos, **{**TINY, **given}, run="one").run
    again = train(config="runs/one/run.json", run="two").run
    unused = {} if given.get("freeze_epochs") != 0 else {"unfreeze_mult": 1.0}
    assert {**again.read_record().training, **unused} == first.read_record().training
    assert again.read_record().splits == first.read_record().splits
    check_same(first, again)


def test_what_is_given_beside_a_config_takes_its_place_and_is_said(cli, photos):
    train(photos, **TINY, epochs=2, seed=3, lr=0.01, label_smoothing=0.1, run="one")
    done = cli("train", "--config", "runs/one", "--seed", 0, "--epochs", 1, "--with", "model.width=4", "--run", "two")
    assert done.code == 0, done.stderr
    assert "but epochs 1 (was 2), seed 0 (was 3), model.width=4" in " ".join(done.stderr.split())
    one, two = (Run(Path("runs") / name).read_record() for name in ("one", "two"))
    assert dict(two.training) == {**one.training, "epochs": 1, "seed": 0}
    assert (two.split["seed"], two.model.options["width"], two.model.options["size"]) == (0, 4, 8)


def test_another_recipe_beside_a_config_decides_what_recipes_decide(cli, photos):
    train(photos, **TINY, epochs=1, run="first")
    train(photos, **TINY, recipe="fine-tune", weights="runs/first", epochs=1, freeze_epochs=2, ema=0.9, run="one")
    training = train(config="runs/one", recipe="frozen", epochs=2, run="two").record.training
    assert (training["recipe"], training["freeze_epochs"], training["ema"], training["epochs"]) == ("frozen", 0, 0.9, 2)
    assert training["lr_mult"] == 1.0


def test_an_older_run_json_is_a_config_too(cli, photos):
    values = json.loads((Path(__file__).parent.parent / "run-schema-2.json").read_text())
    del values["data"]["options"]["loose"]
    Path("old.json").write_text(json.dumps(values))
    record = train(photos, config="old.json", run="two").record
    assert record.training["lr"] == 0.005
    assert record.split["val_fraction"] == 0.34


def test_resume_and_config_exclude_each_other(cli, interrupted):
    with pytest.raises(OptionError, match="goes on as it began"):
        train(resume="mine", config="mine")


def test_run_json_says_what_a_run_ran_on(cli, photos):
    record = train(photos, **TINY, epochs=1, run="one", deterministic=True).record
    environment = record.environment
    assert environment.cores >= 1
    assert environment.cpu
    assert {"numpy", "torchvision", "clsbench"} <= environment.packages.keys()
    assert environment.git is None  # the folder of this test is in no repository
    assert record.fingerprint["train"]["images"] == record.counts["train"]
    assert TrainConfig(**record.training).deterministic
    assert Run(Path("runs/one")).read_record() == record
    assert len(log_of(Run(Path("runs/one")))) == 1
