"""Bad input of the commands that read labelled images: train, find-lr, show and datasets."""

import shutil
from pathlib import Path
from urllib.error import URLError

import pytest
from safetensors.torch import save_file

from clsbench.models.simple_cnn import build


@pytest.fixture
def weights(tmp_path):
    """weights(classes, …): a file with fresh weights of a small simple-cnn."""

    def make(classes, **options):
        save_file(build(classes, **{"size": 8, "width": 8, **options}).state_dict(), tmp_path / "w.safetensors")
        return tmp_path / "w.safetensors"

    return make


@pytest.mark.parametrize("command", ["train", "find-lr", "show"])
@pytest.mark.parametrize("name", ["cifar10", "oxford-iiit-pet", "digits"])
def test_a_dataset_named_as_if_it_were_a_folder(refused, command, name):
    refused(2, ["no such file or folder", f"did you mean --dataset {name}?"], command, name)


def test_one_class_is_not_enough_to_train(refused, photos):
    shutil.rmtree(photos / "val")
    for colour in ("green", "blue"):
        shutil.rmtree(photos / "train" / colour)
    refused(1, ["at least two classes", "one class folder with images: red"], "train", photos)


def test_a_split_with_a_class_of_its_own_cannot_be_trained_on(refused, photos):
    (photos / "val" / "red").rename(photos / "val" / "rde")
    refused(1, ["rde", "blue, green, red"], "train", photos)


@pytest.mark.parametrize("command", ["train", "find-lr", "show"])
def test_an_unknown_attribute_lists_those_there_are(refused, paint, command):
    paint("faces/smiling/{colour}/{k}.png", 2)
    faces = paint("faces/young/{colour}/{k}.png", 2)
    words = ["no attribute 'smilling'", "smiling, young", "one folder a class"]
    refused(1, words, command, faces, "--with", "data.attribute=smilling")


@pytest.mark.parametrize("command", ["train", "find-lr", "show"])
def test_a_pattern_that_matches_nothing_shows_three_names(refused, paint, command):
    pets = paint("pets/{colour}_{k}.jpg", 3)
    words = ["matches no file name", "blue_0.jpg, blue_1.jpg, blue_2.jpg, … (9 in all)", "--with data.pattern="]
    refused(1, words, command, pets, "--dataset", "regex", "--with", r"data.pattern=/([a-z]+)-\d+\.png$")


def test_a_pattern_that_gives_one_class_is_not_enough(refused, paint):
    pets = paint("pets/{colour}_{k}.jpg", 3)
    words = ["at least two classes", "the label jpg alone", "blue_0.jpg"]
    refused(1, words, "train", pets, "--dataset", "regex", "--with", r"data.pattern=\.(jpg)$")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("([a-z", ["not a regular expression", "([a-z"]), ("[a-z]+", ["no group", "parentheses"])],
)
def test_a_pattern_that_cannot_be_used_is_wrong_usage(refused, paint, pattern, words):
    refused(
        2, words, "train", paint("pets/{colour}_{k}.jpg", 3), "--dataset", "regex", "--with", f"data.pattern={pattern}"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "simple-cn"], ["unknown model 'simple-cn'", "did you mean simple-cnn"]),
        (["--model", "acme/tiny"], ["no plugin 'acme'", "pip install clsbench-acme"]),
        (["--dataset", "foldr"], ["unknown dataset 'foldr'", "did you mean folder"]),
        (["--with", "model.widht=3"], ["simple-cnn has no option 'widht'", "did you mean model.width?"]),
        (["--with", "model.width=wide"], ["wrong type", "a whole number"]),
        (["--with", "data.seeed=3"], ["folder has no option 'seeed'", "did you mean data.seed?"]),
        (["--with", "width=3"], ["--with", "KIND.KEY=VALUE"]),
        (["--with", "model.size=7"], ["an even size"]),
        (["--val-fraction", "2"], ["between 0 and 1"]),
        (["--val-fraction", "0"], ["between 0 and 1"]),
        (["--test-fraction", "1"], ["between 0 and 1"]),
        (["--test-fraction", "0"], ["between 0 and 1"]),
        (["--folds", "3"], ["--folds and --fold belong together"]),
        (["--folds", "0"], ["--folds"]),
        (["--fold", "1"], ["--folds and --fold belong together"]),
        (["--folds", "3", "--fold", "4"], ["no such fold", "fold 4 of 3"]),
        (["--folds", "3", "--fold", "0"], ["no such fold", "fold 0 of 3"]),
        (["--folds", "1", "--fold", "1"], ["no such fold"]),
        (["--folds", "9", "--fold", "1"], ["folds cannot be made", "9"]),
        (["--folds", "2", "--fold", "1", "--val-fraction", "0.2"], ["--val-fraction 0.2 and --folds 2"]),
        (["--seed", "-1"], ["seed", "-1"]),
        (["--batch-size", "0"], ["--batch-size", "at least 1"]),
        (["--device", "tpu"], ["--device", "tpu", "cuda"]),
        (["--epochs", "0"], ["--epochs", "at least 1"]),
        (["--epochs", "many"], ["--epochs", "integer"]),
        (["--lr", "x"], ["--lr", "got: x", "auto"]),
        (["--lr", "0"], ["--lr", "got: 0"]),
        (["--lr", "-1"], ["--lr", "got: -1"]),
        (["--lr", "nan"], ["--lr", "got: nan"]),
        (["--max-time", "x"], ["--max-time", "got: x", "90s, 10m, 2h"]),
        (["--max-time", "0"], ["--max-time", "got: 0", "above 0"]),
        (["--max-time", "5d"], ["--max-time", "got: 5d", "90s, 10m, 2h"]),
        (["--recipe", "melt"], ["--recipe", "melt", "fine-tune"]),
        (["--recipe", "frozen"], ["frozen starts from weights", "--pretrained or --weights FILE"]),
        (["--recipe", "fine-tune"], ["fine-tune starts from weights", "--pretrained or --weights FILE"]),
        (["--views", "4"], ["scratch does not take this option", "--views"]),
        (["--freeze-epochs", "2"], ["scratch does not take this option", "--freeze-epochs"]),
        (["--unfreeze-from", "layer4"], ["no such layer group", "layer4", "0, 4, head"]),
        (["--unfreeze-from", "head"], ["the head alone", "--recipe frozen"]),
        (["--schedule", "linear"], ["--schedule", "one-cycle"]),
        (["--optimizer", "lion"], ["--optimizer", "adamw"]),
        (["--augment", "wild"], ["--augment", "trivial"]),
        (["--class-weights", "rare"], ["--class-weights", "balanced"]),
        (["--cache", "tape"], ["--cache", "disk"]),
        (["--head", "cubic"], ["--head", "got: cubic", "mlp:WIDTH"]),
        (["--head", "mlp:0"], ["--head", "got: mlp:0"]),
        (["--head", "mlp:8,dropout=1"], ["--head", "P below 1"]),
        (["--lr-mult", "0"], ["--lr-mult"]),
        (["--lr-mult", "2"], ["--lr-mult", "got: 2", "at most 1"]),
        (["--weight-decay", "-1"], ["--weight-decay", "at least 0"]),
        (["--accumulate", "0"], ["--accumulate", "at least 1"]),
        (["--label-smoothing", "1"], ["--label-smoothing", "below 1"]),
        (["--mixup", "-1"], ["--mixup", "at least 0"]),
        (["--cutmix", "-1"], ["--cutmix", "at least 0"]),
        (["--ema", "1"], ["--ema", "below 1"]),
        (["--clip-grad", "-1"], ["--clip-grad", "at least 0"]),
        (["--patience", "-1"], ["--patience", "at least 0"]),
        (["--run", "latest"], ["plain name", "--run", "latest"]),
        (["--run=-dash"], ["plain name", "--run", "-dash"]),
        (["--run", "a/b"], ["plain name", "--run", "a/b"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_wrong_usage_of_train_exits_with_two(refused, photos, tmp_path, arguments, words):
    shutil.rmtree(photos / "val")
    refused(2, words, "train", photos, *arguments)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "frozen", "--freeze-epochs", "2"], ["frozen does not take", "--freeze-epochs", "got: 2"]),
        (["--recipe", "frozen", "--unfreeze-from", "4"], ["frozen does not take", "--unfreeze-from"]),
        (["--recipe", "frozen", "--lr-mult", "0.1"], ["frozen does not take", "--lr-mult"]),
        (["--recipe", "frozen", "--views", "1", "--augment", "basic"], ["--views", "2 or more, or 0"]),
        (["--recipe", "scratch", "--views", "4"], ["scratch does not take", "--views"]),
        (["--recipe", "scratch", "--freeze-epochs", "1"], ["scratch does not take", "--freeze-epochs"]),
        (["--unfreeze-from", "layer4"], ["no such layer group", "got: layer4", "0, 4, head"]),
        (["--freeze-epochs", "-1"], ["--freeze-epochs", "at least 0"]),
        (["--views", "-1"], ["--views", "at least 0"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_options_that_contradict_the_recipe_exit_with_two(refused, photos, weights, tmp_path, arguments, words):
    tiny = ("--weights", weights(3), "--with", "model.size=8", "--with", "model.width=8")
    refused(2, words, "train", photos, *tiny, *arguments)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_that_is_given_cannot_be_set_aside(refused, photos, tmp_path, split):
    (photos / "val").rename(photos / split)
    words = [f"the data has a {split} split of its own", f"--{split}-fraction 0.3", "leave"]
    refused(2, words, "train", photos, f"--{split}-fraction", "0.3")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["train", "find-lr"])
@pytest.mark.parametrize("options", [("model.size=16",), ("model.size=8", "model.width=9")])
def test_weights_of_another_network(refused, photos, weights, tmp_path, command, options):
    withs = [word for option in options for word in ("--with", option)]
    words = [
        "the weights are those of another network",
        "w.safetensors",
        "of another shape: backbone.4.",
        "check --model",
    ]
    refused(1, words, command, photos, "--weights", weights(3), *withs)
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("content", [None, b"", b"text", b"\x89PNG"])
def test_a_file_that_holds_no_weights(refused, photos, tmp_path, content):
    if content is not None:
        (tmp_path / "w.pth").write_bytes(content)
    done = refused(1, ["weights file", "w.pth"], "train", photos, "--weights", "w.pth")
    assert "weights_only" not in done.stderr, "torch advises to load the file unsafely"
    assert not list(tmp_path.glob("runs/*"))


def test_pretrained_weights_that_nobody_publishes(refused, photos):
    refused(1, ["simple-cnn has no pretrained weights"], "train", photos, "--pretrained")


@pytest.fixture
def offline(monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)


def test_a_download_without_a_network_says_what_to_bring(refused, offline, tmp_path):
    words = [
        "data set cifar10 cannot be downloaded",
        "no network",
        "cifar-10-batches-py/",
        "clsbench datasets cifar10 FOLDER",
    ]
    refused(1, words, "train", "--dataset", "cifar10")
    refused(1, words, "show", "--dataset", "cifar10")
    refused(1, words, "datasets", "cifar10", "cifar")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", [("--lr", "x"), ("--max-time", "x"), ("--head", "cubic"), ("--run", "latest")])
def test_wrong_usage_is_refused_before_anything_is_downloaded(refused, offline, option):
    refused(2, option, "train", "--dataset", "food101", *option)


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (2, ["foldr", "photos"], ["unknown dataset 'foldr'", "did you mean folder"]),
        (1, ["folder"], ["the folder dataset needs a folder"]),
        (1, ["digits", "photos"], ["the digits are embedded"]),
        (1, ["folder", "photos", "--split", "test", "--write", "out"], ["no test images", "train, val"]),
        (1, ["folder", "photos", "--split", "val", "--write", "photos"], ["not empty", "photos"]),
        (2, ["folder", "photos", "--val-fraction", "0.2"], ["val split of its own"]),
        (2, ["folder", "--run", "mine"], ["NAME or --run"]),
        (1, ["--run", "mine"], ["no run 'mine'"]),
        (2, ["--write", "out"], ["--write"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_of_datasets(refused, photos, code, arguments, words):
    refused(code, words, "datasets", *arguments)
    assert not Path("out").exists()


def test_a_taken_run_name_is_refused_before_training(refused, photos, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "notes.txt").touch()
    refused(2, ["nothing is overwritten", "mine"], "train", photos, "--run", "mine", "--epochs", "1")


def test_training_on_cuda_is_never_replaced_by_the_cpu(refused, photos, monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    refused(1, ["torch cannot use CUDA here", "--device cuda"], "train", photos, "--device", "cuda")
    assert not (tmp_path / "runs").exists()
