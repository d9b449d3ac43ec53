"""``clsbench train`` as a user sees it: what it writes, repeats, warns of and keeps of its data."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from clsbench.training.steps import Steps

pytestmark = pytest.mark.usefixtures("without_curves")

TINY = ("--with", "model.size=8", "--with", "model.width=8", "--batch-size", 8)


@pytest.fixture
def photos(paint):
    """Class folders with six images each, and no split."""
    return paint("photos/{colour}/{k}.png", 6)


@pytest.fixture
def given(paint):
    """train/, val/ and test/, each image once."""
    paint("given/train/{colour}/{k}.png", 6)
    paint("given/val/{colour}/{k}.png", 2, first=100)
    return paint("given/test/{colour}/{k}.png", 2, first=200)


def read(file):
    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    return json.loads(Path(file).read_text(encoding="utf-8"), parse_constant=refuse)


def without_times(history):
    times = ("seconds", "elapsed", "images_per_second", "waited")
    return [{k: v for k, v in epoch.items() if k not in times} for epoch in history]


def warnings(done):
    return [line for line in done.stderr.splitlines() if line.startswith("warning: ")]


def test_json_and_run_json_hold_the_same_facts(trained, photos, tmp_path):
    facts = trained(photos, *TINY, "--epochs", 3, "--run", "mine")
    history = facts.pop("history")
    assert facts.pop("run") == "runs/mine"
    assert facts.pop("held_out")["split"] == "val"
    assert facts == read(tmp_path / "runs/mine/run.json")
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert 0 < history[0]["elapsed"] < history[1]["elapsed"] < history[2]["elapsed"] <= facts["result"]["seconds"]
    assert facts["result"]["best_epoch"] in (1, 2, 3)
    assert (facts["result"]["test_accuracy"], facts["result"]["stopped"]) == (None, None)
    assert facts["check"] == {"findings": []}
    assert facts["counts"] == {"train": 15, "val": 3}
    assert facts["splits"]["train"]["count"] == 15
    assert sorted(name.split("/")[0] for name in facts["splits"]["val"]) == ["blue", "green", "red"]
    assert (
        facts["training"].items()
        >= {"epochs": 3, "batch_size": 8, "recipe": "scratch", "schedule": "one-cycle"}.items()
    )


def test_json_on_stdout_is_json_alone(cli, photos):
    done = cli("train", photos, *TINY, "--epochs", 1, "--json", "-")
    assert len(json.loads(done.stdout)["history"]) == 1


def test_quiet_says_nothing_but_the_result(cli, photos):
    done = cli("train", photos, *TINY, "--epochs", 1, "-q")
    assert done.stderr == ""
    assert "best: " in done.stdout


def test_names_of_given_splits_are_relative_to_the_data(trained, given):
    facts = trained(given, *TINY, "--epochs", 1)
    assert facts["splits"]["val"][0] == "val/blue/100.png"
    assert facts["splits"]["test"][0] == "test/blue/200.png"


def test_the_test_split_is_judged_with_the_best_weights(trained, cli, given):
    """Its accuracy is that of the exported file on the same images."""
    facts = trained(given, *TINY, "--epochs", 3, "--lr", "1e-3", "--run", "mine")
    assert cli("export").code == 0
    assert cli("infer", given / "test", "--json", "infer.json").code == 0
    assert read("infer.json")["metrics"]["top1"]["value"] == pytest.approx(facts["result"]["test_accuracy"])


def test_the_same_command_gives_the_same_result(trained, photos):
    first, second = (trained(photos, *TINY, "--epochs", 2, "--augment", "trivial") for _ in range(2))
    assert without_times(first["history"]) == without_times(second["history"])
    assert first["training"] == second["training"]


def test_where_pictures_are_kept_changes_no_result(trained, photos):
    kept, *others = (trained(photos, *TINY, "--epochs", 2, "--cache", place) for place in ("ram", "disk", "off"))
    assert [other["training"]["cache"] for other in others] == ["disk", "off"]
    for other in others:
        assert without_times(other["history"]) == without_times(kept["history"])


def test_lr_auto_takes_what_find_lr_suggests(cli, photos):
    arguments = (photos, *TINY, "--seed", 3)
    found = cli("find-lr", *arguments, "--json", "lr.json")
    assert found.code == 0, found.stderr
    done = cli("train", *arguments, "--epochs", 1, "--lr", "auto", "--json", "train.json")
    assert "learning rate by range test" in done.stderr
    assert read("train.json")["training"]["lr"] == read("lr.json")["valley"]


def test_the_folds_of_one_seed_share_the_pictures_out(trained, photos, tmp_path):
    held_out = []
    for fold in (1, 2, 3):
        trained(photos, *TINY, "--epochs", 1, "--folds", 3, "--fold", fold, "--run", f"fold{fold}")
        config = read(tmp_path / "runs" / f"fold{fold}" / "run.json")
        assert config["counts"] == {"train": 12, "val": 6}
        held_out += config["splits"]["val"]
    assert sorted(held_out) == sorted(f"{file.parent.name}/{file.name}" for file in photos.rglob("*.png"))


def test_time_is_up(cli, photos):
    done = cli("train", photos, *TINY, "--epochs", 500, "--max-time", "0.001s", "--json", "train.json")
    assert done.code == 0, done.stderr
    assert "stopped early: the time limit of 0.001 s was reached (--max-time)" in done.stdout
    assert len(read("train.json")["history"]) == 1


def test_a_training_that_diverges_keeps_its_best_epoch_and_writes_proper_json(cli, photos, monkeypatch):
    loss_of = Steps.loss
    losses = iter([*[1.0] * 5, *[float("nan")] * 40])

    def loss(self, inputs, labels):
        found, *rest = loss_of(self, inputs, labels)
        return (found * next(losses), *rest)

    monkeypatch.setattr(Steps, "loss", loss)
    done = cli("train", photos, *TINY, "--epochs", 40, "--json", "train.json", "--run", "nan")
    assert done.code == 0, done.stderr
    assert re.search(r"stopped early: the loss is NaN in epoch \d, batch \d of \d \(--lr 0.005\)", done.stdout)
    assert "use a lower rate, --lr 0.0005" in done.stdout
    assert np.isfinite(read("train.json")["result"]["val_loss"])
    assert read("train.json")["status"] == "stopped"
    assert cli("export", "nan").code == 0


def test_a_training_that_leaves_nothing_good_fails(refused, photos):
    """Its weights are still finite after the first epoch, and its loss some billion nats."""
    wild = ("--optimizer", "sgd", "--schedule", "constant", "--lr", "1e9", "--epochs", 40)
    done = refused(1, ["training diverged", "epoch 2", "--lr 0.005"], "train", photos, *TINY, *wild)
    assert "best:" not in done.stdout


@pytest.mark.parametrize("head", ["linear,dropout=0.5", "mlp:6"])
def test_every_head_can_be_exported(trained, cli, photos, head):
    trained(photos, *TINY, "--epochs", 1, "--head", head)
    done = cli("export", "--json", "export.json")
    assert done.code == 0, done.stderr
    exported = read("export.json")
    assert exported["parity"]["passed"]
    assert exported["card"]["model"]["head"] == head


def test_a_run_goes_on_from_the_weights_of_another(trained, photos):
    """What does not learn has the loss that it left off with."""
    first = trained(photos, *TINY, "--epochs", 2, "--run", "first")
    weights = ("--weights", "runs/first/best.safetensors", "--recipe", "frozen", "--optimizer", "sgd", "--lr", "1e-12")
    second = trained(photos, *TINY, *weights, "--epochs", 1)
    assert second["history"][0]["val_loss"] == pytest.approx(first["result"]["val_loss"], rel=1e-5)


def test_weights_for_other_classes_get_a_new_head_and_it_is_said(cli, photos, trained):
    trained(photos, *TINY, "--epochs", 1, "--run", "three")
    shutil.rmtree(photos / "red")
    weights = ("--weights", "runs/three/best.safetensors", "--freeze-epochs", 1, "--epochs", 1)
    done = cli("train", photos, *TINY, *weights)
    assert done.code == 0, done.stderr
    assert "the head is new" in done.stderr
    assert "the run's classes are others (blue, green, red)" in done.stderr


def test_weights_with_the_head_that_is_asked_for_keep_it(cli, photos, trained):
    head = ("--head", "mlp:6")
    first = trained(photos, *TINY, *head, "--epochs", 2, "--run", "first")
    still = ("--recipe", "frozen", "--optimizer", "sgd", "--lr", "1e-12", "--epochs", 1)
    done = cli("train", photos, *TINY, *head, "--weights", "first", *still, "--json", "t.json")
    assert done.code == 0, done.stderr
    assert read("t.json")["history"][0]["val_loss"] == pytest.approx(first["result"]["val_loss"], rel=1e-5)
    assert "the head too: the classes are the same" in done.stderr


@pytest.mark.parametrize("weights", ["first", "runs/first", "runs/first/best.safetensors"])
def test_the_weights_of_a_run_bring_its_model_options_and_run_json_says_what_was_kept(cli, photos, trained, weights):
    trained(photos, *TINY, "--epochs", 1, "--run", "first")
    done = cli("train", photos, "--epochs", 1, "--freeze-epochs", 1, "--weights", weights, "--run", "second")
    assert done.code == 0, done.stderr
    for words in ("of run first", "preprocessing as in that run", "recipe fine-tune; that run's was scratch"):
        assert words in done.stderr
    record = read("runs/second/run.json")
    assert (record["model"]["options"]["size"], record["transform"]["size"]) == (8, [8, 8])
    facts = ("run", "run_recipe", "loaded", "expected", "head", "head_reason", "transform_change")
    assert [record["weights"][fact] for fact in facts] == [
        "first", "scratch", 4, 4, True, "the classes are the same", []
    ]  # fmt: skip
    assert record["training"]["recipe"] == "fine-tune"


def test_another_preprocessing_than_that_of_the_run_is_said(cli, paint, trained, fake_distribution):
    fake_distribution("clsbench-acme", """
        from pathlib import Path
        from clsbench import Classifier, Component, ImageTransform, hookimpl, load_state, read_state
        def build(num_classes, *, pretrained: bool = False, weights: Path | None = None, size: int = 8):
            from torch import nn
            pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            transform = ImageTransform(size=(size, size))
            made = Classifier(pooled, nn.Linear(4, num_classes), transform=transform, feature_dim=4)
            if weights:
                load_state(made, read_state(weights), head="head", where=weights)
            return made
        @hookimpl
        def register_models():
            yield Component("pooled", build, "of any size")
    """)  # fmt: skip
    photos = paint("photos/{colour}/{k}.png", 6)
    trained(photos, "--model", "pooled", "--epochs", 1, "--run", "first")
    bigger = ("--with", "model.size=12", "--epochs", 1, "--freeze-epochs", 1)
    done = cli("train", photos, "--model", "pooled", "--weights", "first", *bigger)
    assert done.code == 0, done.stderr
    assert "preprocessing size [12, 12], was [8, 8]" in done.stderr


def test_the_weights_of_a_run_of_another_model_are_refused(refused, photos, trained):
    trained(photos, *TINY, "--epochs", 1, "--run", "first")
    words = ["those of another model", "got: clsbench/resnet18", "expected: clsbench/simple-cnn", "--model simple-cnn"]
    refused(2, words, "train", photos, "--model", "resnet18", "--weights", "first")


def test_as_many_classes_of_other_names_get_a_new_head(cli, photos, trained):
    trained(photos, *TINY, "--epochs", 1, "--run", "first")
    (photos / "red").rename(photos / "rouge")
    done = cli("train", photos, "--epochs", 1, "--freeze-epochs", 1, "--weights", "first")
    assert done.code == 0, done.stderr
    assert "the head is new: the run's classes are others (blue, green, red)" in done.stderr


def test_a_foreign_checkpoint_is_loaded_and_what_was_not_is_named(cli, photos):
    """A resnet18 for seven classes, as DistributedDataParallel names it, beside an optimizer, without one tensor."""
    import torch
    from torchvision.models import resnet18

    state = {f"module.{name}": tensor for name, tensor in resnet18(weights=None, num_classes=7).state_dict().items()}
    del state["module.layer1.0.bn1.weight"]
    torch.save({"model_state_dict": state, "optimizer": {"lr": 0.1}, "epoch": 3}, "theirs.pt")
    options = ("--recipe", "frozen", "--epochs", 1, "--with", "model.size=32", "--json", "t.json")
    done = cli("train", photos, "--model", "resnet18", "--weights", "theirs.pt", *options)
    assert done.code == 0, done.stderr
    assert (
        "warning: weights: 119 of the backbone's 120 tensors (theirs.pt, under 'module.')\n"
        "  the head is new: the file's is for 7 classes, not 3\n"
        "  1 not in the file: layer1.0.bn1.weight\n"
    ) in done.stderr
    assert read("t.json")["weights"]["missing"] == ["layer1.0.bn1.weight"]


#: What is wrong: the kind of the finding, and words of the message.
TROUBLE = {
    "a duplicate in val": ("duplicates", "train/red/0.png (train) = val/red/copy.png (val)"),
    "a duplicate in test": ("duplicates", "train/red/0.png (train) = test/red/copy.png (test)"),
    "an unreadable image in train": ("unreadable", "train/red/bad.jpg"),
    "an unreadable image in test": ("unreadable", "test/red/bad.jpg"),
    "two labels": ("contradictions", "train/blue/copy.png (blue) = train/red/0.png (red)"),
    "a tiny class": ("tiny-class", "red (2)"),
    "a class without validation": ("empty-class", "without an image in val: red"),
}


def spoil(folder, trouble):
    split = trouble.split()[-1]
    if trouble.startswith("a duplicate"):
        shutil.copy(folder / "train/red/0.png", folder / split / "red" / "copy.png")
    elif trouble == "two labels":
        shutil.copy(folder / "train/red/0.png", folder / "train/blue/copy.png")
    elif trouble.startswith("an unreadable"):
        (folder / split / "red" / "bad.jpg").write_bytes(b"no image")
    elif trouble == "a tiny class":
        for k in range(2, 6):
            (folder / f"train/red/{k}.png").unlink()
    else:
        shutil.rmtree(folder / "val/red")


@pytest.mark.parametrize(("trouble", "finding"), TROUBLE.items(), ids=list(TROUBLE))
def test_trouble_in_the_data_is_a_warning_or_with_strict_data_an_error(cli, given, tmp_path, trouble, finding):
    spoil(given, trouble)
    kind, words = finding
    refused = cli("train", given, *TINY, "--epochs", 1, "--strict-data")
    assert refused.code == 1
    assert words in refused.stderr
    assert "--strict-data" in refused.stderr
    assert not list(tmp_path.glob("runs/*"))

    done = cli("train", given, *TINY, "--epochs", 1, "--quiet", "--json", "train.json")
    assert done.code == 0, done.stderr
    assert words in "\n".join(warnings(done))
    assert [found["kind"] for found in read("train.json")["check"]["findings"]] == [kind]


def test_unreadable_pictures_are_left_out_and_named(cli, given):
    spoil(given, "an unreadable image in train")
    cli("train", given, *TINY, "--epochs", 1, "--json", "train.json")
    (name, reason), *others = read("train.json")["result"]["unreadable"].items()
    assert (name, others) == ("train/red/bad.jpg", [])
    assert "not an image" in reason


def test_good_data_pass_the_strict_check(cli, given):
    done = cli("train", given, *TINY, "--epochs", 1, "--strict-data")
    assert done.code == 0, done.stderr
    assert not warnings(done)


@pytest.fixture
def forms(paint):
    """The arguments of the same images as each kind of dataset, with a test split."""
    folder = paint("forms/{colour}/{k}.png", 6)
    paint("named/{colour}_{k}.png", 6)
    paint("attributes/hue/{colour}/{k}.png", 6)
    files = sorted(folder.rglob("*.png"))
    rows = [f"{file.relative_to(folder).as_posix()},{file.parent.name}" for file in files]
    Path("table.csv").write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    return {
        "digits": (),
        "regex": ("named", "--dataset", "regex"),
        "csv": ("table.csv", "--with", "data.images=forms"),
        "attribute": ("attributes", "--with", "data.attribute=hue"),
    }


@pytest.mark.parametrize("form", ["digits", "regex", "csv", "attribute"])
def test_later_commands_see_the_split_of_the_run(trained, cli, forms, form, tmp_path, monkeypatch):
    facts = trained(*forms[form], "--test-fraction", 0.2, *TINY, "--batch-size", 64, "--epochs", 1, "--run", "mine")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shown = cli("datasets", "--run", "../runs/mine", "--json", "counts.json")
    assert shown.code == 0, shown.stderr
    counts = read("counts.json")["counts"].values()
    assert {split: sum(count[split] for count in counts) for split in facts["counts"]} == facts["counts"]
    assert cli("datasets", "--run", "../runs/mine", "--split", "val", "--write", "val").code == 0
    assert len([file for file in Path("val").rglob("*.*") if file.is_file()]) == facts["counts"]["val"]


def test_the_accuracy_of_a_few_test_images_has_its_interval(cli, photos):
    done = cli("train", photos, *TINY, "--test-fraction", 0.34, "--epochs", 1, "--json", "facts.json")
    facts = read("facts.json")
    total, right = facts["counts"]["test"], round(facts["result"]["test_accuracy"] * facts["counts"]["test"])
    found = binomtest(right, total).proportion_ci(method="wilson")
    low, high = f"{found.low:.2%}", f"{found.high:.2%}"
    assert f"({right} of {total}, 95% interval {low} – {high})" in done.stdout


@pytest.mark.parametrize("how", [("--val-fraction", 0.5), ("--folds", 2, "--fold", 1)], ids=["fraction", "folds"])
def test_pictures_that_were_added_later_leave_the_split_alone(trained, cli, photos, paint, how):
    facts = trained(photos, *TINY, *how, "--test-fraction", 0.34, "--epochs", 1, "--run", "mine")
    paint("photos/{colour}/{k}.png", 3, first=50)
    for command in ("datasets", "show"):
        more = ("-n", 1) if command == "show" else ()
        done = cli(command, "--run", "mine", *more, "--json", "counts.json")
        assert done.code == 0, done.stderr
        counts = read("counts.json")["counts"].values()
        sums = {split: sum(count[split] for count in counts) for split in ("train", "val", "test")}
        assert sums == {**facts["counts"], "train": facts["counts"]["train"] + 9}
        assert "9 new" in done.stderr
        assert f"{facts['counts']['val']} val" in done.stderr
        notes = [line for line in done.stderr.splitlines() if line.startswith(("validation:", "test:"))]
        assert not notes, "the split of another day is described"


def test_a_run_is_exported_on_its_own_validation_pictures_even_if_a_fold_cannot_be_made_again(trained, cli, photos):
    trained(photos, *TINY, "--folds", 3, "--fold", 1, "--epochs", 1, "--run", "mine")
    kept = read("runs/mine/run.json")["splits"]["val"]
    for file in photos.rglob("*.png"):
        if f"{file.parent.name}/{file.name}" not in kept:
            file.unlink()
    done = cli("datasets", "--run", "mine")
    assert done.code == 0, done.stderr


def test_validation_pictures_that_are_gone_are_counted_and_without_any_it_is_an_error(trained, cli, photos):
    facts = trained(photos, *TINY, "--epochs", 1, "--run", "mine")
    first, *others = facts["splits"]["val"]
    (photos / first).unlink()
    done = cli("datasets", "--run", "mine")
    assert done.code == 0
    assert f"1 of the run's 3 val images not found, such as {first}" in done.stderr
    for name in others:
        (photos / name).unlink()
    done = cli("datasets", "--run", "mine")
    assert done.code == 1
    assert "none of the run's validation images exists" in done.stderr
    assert cli("export", "mine").code == 1


def test_balanced_classes_and_every_other_option_are_recorded(trained, photos):
    asked = {
        "schedule": "cosine", "optimizer": "adam", "weight_decay": 0.1, "accumulate": 2, "label_smoothing": 0.1,
        "class_weights": "balanced", "mixup": 0.2, "cutmix": 1.0, "augment": "rand", "ema": 0.9, "clip_grad": 1.0,
        "patience": 5, "lr_mult": 0.5, "unfreeze_from": "4", "lr": 0.01, "head": "mlp:4",
    }  # fmt: skip
    flags = [word for name, value in asked.items() for word in (f"--{name.replace('_', '-')}", value)]
    facts = trained(photos, *TINY, *flags, "--epochs", 2, "--max-time", "1h")
    assert facts["training"].items() >= {**asked, "max_time": 3600.0}.items()
    assert np.isfinite([epoch["val_loss"] for epoch in facts["history"]]).all()


def test_the_table_fits_into_80_columns(cli, photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("train", photos, *TINY, "--epochs", 2)
    rows = [line.split() for line in done.stdout.splitlines() if "everything" in line]
    assert [len(row) - ("*" in row) for row in rows] == [7, 7]


def test_a_datasets_folder_is_described_with_its_lengths_and_shapes(cli, given, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("datasets", given, "--model", "resnet18", "--json", "facts.json")
    assert done.code == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["all", "18", "6", "6"] in rows
    assert ["width", "16", "16", "16"] in rows
    assert ["channels:", "RGB", "30"] in rows
    assert "resnet18 gets: uint8 (N, 224, 224, 3)" in done.stdout
    facts = read("facts.json")
    assert facts["lengths"] == {"train": 18, "val": 6, "test": 6}
    assert facts["samples"]["height"] == {"min": 16, "median": 16.0, "max": 16}
    assert facts["input"] == [224, 224, 3]


def test_a_run_says_what_its_own_network_gets(cli, trained, given):
    trained(given, *TINY, "--epochs", 1, "--run", "mine")
    assert "\nsimple-cnn gets: uint8 (N, 8, 8, 3)" in cli("datasets", "--run", "mine").stdout


def test_a_dataset_is_preferred_to_a_folder_of_its_name(cli, paint):
    paint("digits/{colour}/{k}.png", 2)
    assert "1,797" in cli("datasets", "digits").stdout
    assert "Images, in pixels  " in cli("datasets", "./digits").stdout
