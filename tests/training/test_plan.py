import dataclasses
import typing
from dataclasses import fields

import pytest
import torch

import clsbench
from clsbench.run_record import RunData, RunModel, RunStage
from clsbench.training.config import TrainConfig
from clsbench.training.freezing import freeze, learning_groups
from clsbench.training.plan import describe_rates, plan, plan_stages
from clsbench.training.recipes import configure

MODEL = RunModel(name="acme/tiny", options={"weights": "/secret/run/best.safetensors"})


def test_two_rates_are_those_of_the_first_layer_group_and_the_head(normed):
    head, everything = plan_stages(normed(), configure(pretrained=True, lr="1e-6,1e-4"))
    assert head == RunStage(name="head", epochs=5, rates={"head": 1e-4})
    assert everything.rates["0.0"] == pytest.approx(1e-6)
    assert everything.rates["head"] == pytest.approx(1e-4)
    rates = list(everything.rates.values())
    assert rates == sorted(rates)


def test_a_plan_shows_the_rates_that_are_trained_with_and_leaves_everything_to_learn(normed):
    classifier = normed()
    config = configure(pretrained=True, lr=0.01, lr_mult=0.1)
    made = plan(classifier, config, MODEL)
    assert all(parameter.requires_grad for parameter in classifier.parameters())
    freeze(classifier, 0)
    assert made.stages[1].rates == {group.name: group.lr for group in learning_groups(classifier, 0.0025, 0.1)}
    assert made.epochs == 10


def test_everything_that_was_decided_is_told(normed):
    asked = {
        "lr": 0.01, "weight_decay": 0.05, "batch_size": 7, "accumulate": 3, "clip_grad": 1.5, "ema": 0.99,
        "optimizer": "sgd", "schedule": "cosine", "augment": "trivial", "mixup": 0.3, "cutmix": 0.4,
        "label_smoothing": 0.2, "class_weights": "balanced", "cache": "ram", "seed": 11, "patience": 4,
        "max_time": "2m", "device": "cpu", "head": "mlp:6", "precision": "bf16", "compile": True,
    }  # fmt: skip
    made = plan(normed(), configure("scratch", pretrained=False, **asked), MODEL)
    text = "\n".join([made.title, *(f"{name}: {fact}" for name, fact in made.facts)])
    for words in (
        "acme/tiny on cpu, recipe scratch", "weights of best.safetensors", "8×8 RGB", "head mlp:6", "30 epochs",
        "rate 0.01", "sgd", "weight decay 0.05", "schedule cosine", "batches of 7", "3 of them a step", "at most 1.5",
        "decay 0.99", "trivial", "mixup 0.3", "cutmix 0.4", "smoothing 0.2", "balanced", "cache ram", "seed 11",
        "bfloat16 with float32 weights", "compiled", "patience 4 epochs", "limit 120 s",
    ):  # fmt: skip
        assert words in text
    assert "/secret" not in text


@pytest.mark.parametrize("field", fields(TrainConfig), ids=lambda field: field.name)
def test_no_option_of_training_is_left_out(normed, field):
    """Two trainings that differ in one option differ in what is told of them."""
    asked = {
        "recipe": "fine-tune", "epochs": 7, "freeze_epochs": 3, "unfreeze_from": "1.0", "lr": 0.02, "lr_mult": 0.5,
        "unfreeze_mult": 0.125, "schedule": "step", "optimizer": "adam", "weight_decay": 0.3, "batch_size": 5,
        "accumulate": 2, "label_smoothing": 0.1, "class_weights": "balanced", "mixup": 0.1, "cutmix": 0.1,
        "augment": "rand", "views": 3, "ema": 0.9, "clip_grad": 1.0, "head": "mlp:4", "patience": 2, "max_time": 9.0,
        "log_every": 4, "cache": "off", "track": "mlflow", "seed": 3, "device": "cuda",
    }  # fmt: skip
    base = TrainConfig(epochs=5, freeze_epochs=5, lr=0.003, recipe="fine-tune")
    if field.name == "recipe":
        base = TrainConfig(epochs=5, lr=0.003)
    kind = typing.get_type_hints(TrainConfig)[field.name]
    others = [value for value in typing.get_args(kind) if value != getattr(base, field.name)] or [2]
    changed = dataclasses.replace(base, **{field.name: asked.get(field.name, others[0])})
    assert plan(normed(), base, MODEL) != plan(normed(), changed, MODEL)


def test_options_of_components_and_versions_are_told(normed):
    model = RunModel(
        name="acme/tiny", distribution="acme", version="1.5", options={"width": 7}, defaults={"deep": True}
    )
    data = RunData(dataset="clsbench/csv", root="/photos.csv", options={"label": "kind"}, defaults={"image": None})
    facts = dict(plan(normed(), configure(pretrained=False), model, data=data, split={"folds": 5, "fold": 1}).facts)
    assert facts["data"] == "csv /photos.csv; label kind; split: folds 5, fold 1"
    assert facts["network"].endswith("width 7, deep yes")
    assert facts["versions"] == f"clsbench {clsbench.__version__}, torch {torch.__version__}, acme 1.5"


def test_options_that_are_off_are_named_without_their_values(normed):
    facts = dict(plan(normed(), configure(pretrained=False), MODEL).facts)
    assert facts["off"].startswith("unfreeze-from, label-smoothing, mixup, cutmix, ema, clip-grad, log-every")
    assert "other" not in facts
    facts = dict(plan(normed(), configure(pretrained=False, log_every=9, ema=0.9, sampler="balanced"), MODEL).facts)
    assert facts["other"] == "log-every 9"
    assert not {"ema", "log-every", "sampler", "accumulate"} & set(facts["off"].split(", "))


def test_a_rate_that_is_still_to_be_found_is_not_shown(normed):
    made = plan(normed(), configure(pretrained=False), MODEL, auto_lr=True)
    assert dict(made.facts)["everything"] == "30 epochs, peak learning rate by a range test"


def test_many_rates_are_shown_by_their_ends():
    shown = describe_rates({f"layer{k}": k / 100 for k in range(1, 13)})
    assert shown == "rates layer1: 0.01, layer2: 0.02, layer3: 0.03, …, layer10: 0.1, layer11: 0.11, layer12: 0.12"
