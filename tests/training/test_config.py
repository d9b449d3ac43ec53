"""TrainConfig's fields as options: written once, for the command line and for Python."""

import dataclasses
import subprocess
import sys
import typing
from typing import Literal

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold

from clsbench.datasets import MAX_SEED
from clsbench.errors import OptionError
from clsbench.training.config import RANGE_TEST, TrainConfig, options, read_options
from clsbench.training.quantities import RATES
from clsbench.training.recipes import configure

OPTIONS = {option.name: option for option in options()}


def test_every_field_is_an_option_and_described_by_a_phrase():
    assert list(OPTIONS) == [field.name for field in dataclasses.fields(TrainConfig)]
    for option in OPTIONS.values():
        assert option.flag == f"--{option.name.replace('_', '-')}"
        assert option.help[0].isupper()
        assert option.help.endswith(".")
        assert not option.help.startswith(("Of ", "By ", "As "))
        assert option.panel


def test_what_the_recipe_decides_has_no_default_and_may_be_left_out():
    decided = {
        "recipe", "epochs", "freeze_epochs", "unfreeze_from", "unfreeze_mult", "lr", "lr_mult", "augment", "views",
        "max_time", "track",
    }  # fmt: skip
    assert {name for name, option in OPTIONS.items() if option.default is None} == decided
    assert {name for name, option in OPTIONS.items() if type(None) in typing.get_args(option.type)} == decided


@pytest.mark.parametrize(
    ("name", "kind", "default", "metavar"),
    [
        ("recipe", Literal["fine-tune", "frozen", "scratch"] | None, None, None),
        ("epochs", int | None, None, None),
        ("unfreeze_from", str | None, None, "GROUP"),
        ("lr", str | None, None, "RATE"),
        ("schedule", Literal["one-cycle", "cosine", "step", "constant"], "one-cycle", None),
        ("weight_decay", float, 0.01, None),
        ("batch_size", str, "32", "N|auto"),
        ("max_time", str | None, None, "TIME"),
        ("cache", Literal["auto", "ram", "disk", "off"], "auto", None),
        ("device", Literal["auto", "cpu", "cuda"], "auto", None),
    ],
)
def test_an_option_as_the_command_line_shows_it(name, kind, default, metavar):
    option = OPTIONS[name]
    assert (option.type, option.default, option.metavar) == (kind, default, metavar)


def test_the_options_of_a_range_test_are_those_of_training():
    assert options(RANGE_TEST) == tuple(OPTIONS[name] for name in OPTIONS if name in RANGE_TEST)
    assert len(options(RANGE_TEST)) == 7


def test_the_defaults_that_options_show_are_the_configurations():
    given = {option.name: option.default for option in OPTIONS.values()}
    assert configure(pretrained=False, **given) == configure(pretrained=False)


def test_neither_torch_nor_numpy_is_needed_to_know_the_options():
    code = """
        import sys
        from clsbench.training.config import options, read_options
        options(); read_options({"lr": "auto", "max_time": "10m", "head": "mlp:8", "epochs": "3"})
        print(*sorted({name.split(".")[0] for name in sys.modules}))
    """
    done = subprocess.run([sys.executable, "-c", code.replace("\n        ", "\n")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "numpy", "PIL", "onnxruntime", "typer", "rich"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "given", "want"),
    [
        ("lr", "3e-3", 0.003), ("lr", 1, 1.0), ("lr", np.float32(0.5), 0.5), ("max_time", "90s", 90.0),
        ("max_time", "10m", 600.0), ("max_time", "2h", 7200.0), ("max_time", "1.5", 1.5), ("max_time", 30, 30.0),
        ("max_time", 0, 0.0), ("epochs", "3", 3), ("epochs", np.int64(3), 3), ("augment", "rand", "rand"),
        ("unfreeze_from", "layer4", "layer4"), ("device", "auto", "auto"), ("head", "mlp:8", "mlp:8"),
    ],
)  # fmt: skip
def test_texts_and_values_are_read(name, given, want):
    read = read_options({name: given})
    assert read == {name: want}
    assert type(read[name]) is type(want)


def test_nothing_and_auto_are_left_to_the_recipe():
    assert read_options({"lr": "auto", "epochs": None, "max_time": None}) == {}
    assert configure(pretrained=False, lr="auto") == configure(pretrained=False)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("lr", "fast", RATES), ("lr", True, RATES),
        ("lr", 0, "above 0"), ("lr", "inf", "a finite number"), ("epochs", 2.5, "a whole number"),
        ("epochs", "many", "a whole number"), ("epochs", True, "a whole number"), ("epochs", 0, "at least 1"),
        ("max_time", "5d", "seconds above 0, or 90s, 10m, 2h"), ("max_time", "0", "seconds above 0, or 90s, 10m, 2h"),
        ("max_time", "", "seconds above 0, or 90s, 10m, 2h"), ("max_time", -1, "at least 0"),
        ("augment", "wild", "none, basic, rand, trivial"), ("augment", 3, "none or basic or rand or trivial"),
        ("device", "tpu", "auto, cpu, cuda"), ("lr_mult", 2, "above 0, at most 1"), ("ema", 1, "at least 0, below 1"),
        ("unfreeze_from", 4, "text or none"), ("head", "cubic", "linear or mlp:WIDTH, and ,dropout=P with P below 1"),
        ("mixup", 10**400, "a number"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_name_of_its_option(name, given, expected):
    with pytest.raises(OptionError) as caught:
        read_options({name: given})
    assert caught.value.facts["where"] == f"--{name.replace('_', '-')}"
    assert caught.value.facts["expected"] == expected


def test_an_unknown_option_is_refused_with_a_near_one():
    with pytest.raises(OptionError, match="no option 'learning_rate'"):
        configure(pretrained=False, learning_rate=0.1)
    with pytest.raises(OptionError, match="no option 'epoch'") as caught:
        configure(pretrained=False, epoch=3)
    assert caught.value.facts["to do"] == "did you mean epochs?"


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert configure(pretrained=False).device == "cuda"
    assert configure(pretrained=False, device="cpu").device == "cpu"


@pytest.mark.parametrize("given", ["1e-6,1e-4", " 1e-6 , 1e-4", (1e-6, 1e-4), [1e-6, 1e-4]])
def test_two_rates_are_those_of_the_first_layer_group_and_of_the_head(given):
    config = configure(pretrained=True, lr=given)
    assert (config.lr, config.unfreeze_mult) == (1e-4, 1.0)
    assert config.lr * config.lr_mult == pytest.approx(1e-6)
    assert configure("scratch", pretrained=False, lr=given).lr_mult == config.lr_mult


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"lr": "1e-4,1e-6"}, "--lr"), ({"lr": "1e-4,"}, "--lr"), ({"lr": "1,2,3"}, "--lr"), ({"lr": "0,1"}, "--lr"),
        ({"lr": "nan,1"}, "--lr"), ({"lr": "1,inf"}, "--lr"), ({"lr": (1e-6, None)}, "--lr"),
        ({"lr": "1e-6,1e-4", "lr_mult": 0.1}, "--lr-mult"), ({"lr": "1e-6,1e-4", "recipe": "frozen"}, "--lr"),
        ({"unfreeze_mult": 0.5, "recipe": "frozen"}, "--unfreeze-mult"),
        ({"unfreeze_mult": 0.5, "freeze_epochs": 0}, "--unfreeze-mult"), ({"unfreeze_mult": 0}, "--unfreeze-mult"),
        ({"seed": 2**32}, "--seed"), ({"seed": 10**30}, "--seed"), ({"log_every": -1}, "--log-every"),
    ],
)  # fmt: skip
def test_rates_and_seeds_that_make_no_sense_are_refused_by_name(options, where):
    with pytest.raises(OptionError) as caught:
        configure(pretrained=True, **options)
    assert caught.value.facts["where"] == where


def test_the_largest_seed_is_one_that_torch_and_scikit_learn_take():
    assert read_options({"seed": MAX_SEED}) == {"seed": MAX_SEED}
    torch.Generator().manual_seed(MAX_SEED)
    StratifiedKFold(2, shuffle=True, random_state=MAX_SEED).split([0, 0, 1, 1], [0, 0, 1, 1])
    with pytest.raises(ValueError, match="Seed must be between"):
        np.random.RandomState(MAX_SEED + 1)
