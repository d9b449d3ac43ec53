"""A loss or weights that are not finite: found soon, named exactly, and never kept."""

import math

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from clsbench.errors import ModelError
from clsbench.training.divergence import Diverged, check_epoch, finite_names
from clsbench.training.steps import REPORT, Steps


@pytest.fixture
def poisoned(monkeypatch):
    """poisoned(batch, value): the loss of that batch, counted over all epochs from 1, is multiplied by the value."""

    def poisoned(batch, value=float("nan")):
        loss_of, seen = Steps.loss, []

        def loss(self, inputs, labels):
            seen.append(None)
            loss, *rest = loss_of(self, inputs, labels)
            return (loss * value if len(seen) == batch else loss, *rest)

        monkeypatch.setattr(Steps, "loss", loss)
        return seen

    return poisoned


@pytest.mark.parametrize(("value", "named"), [(float("nan"), "NaN"), (float("inf"), "infinite")])
def test_the_first_bad_batch_is_named_and_few_more_are_taken(
    value, named, poisoned, tiny, pictures, colours, configured, train
):
    seen = poisoned(27, value)
    trainer = train(tiny(), pictures(train=colours(120)), configured(batch_size=5, epochs=4))
    assert f"the loss is {named} in epoch 2, batch 3 of 24" in trainer.stopped
    assert len(seen) <= 27 + REPORT
    assert [epoch.epoch for epoch in trainer.history] == [1]
    assert trainer.status == "stopped"


def test_the_weights_of_a_run_that_diverged_are_finite_and_those_of_its_best_epoch(
    poisoned, tiny, pictures, configured, train
):
    poisoned(9)
    classifier = tiny()
    trainer = train(classifier, pictures(), configured(epochs=5))
    best = trainer.finish()
    kept, last = load_file(trainer.run.best), load_file(trainer.run.last)
    torch.testing.assert_close(kept, last, rtol=0, atol=0)
    torch.testing.assert_close(dict(classifier.state_dict()), kept, rtol=0, atol=0)
    assert all(tensor.isfinite().all() for tensor in kept.values())
    assert best.epoch <= 2


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("recipe", ["scratch", "frozen", "fine-tune"])
@pytest.mark.parametrize("batch_size", [6, 24], ids=["several steps", "one step an epoch"])
def test_an_absurd_weight_decay_is_divergence_in_every_recipe(
    recipe, batch_size, ema, normed, pictures, configured, train
):
    """With one step an epoch the training loss is of the weights before it: validation is the first to see them.

    Where the weights are still finite after the first epoch, that epoch is nothing to keep either.
    """
    more = {"freeze_epochs": 1} if recipe == "fine-tune" else {}
    config = configured(recipe=recipe, batch_size=batch_size, weight_decay=1e37, ema=ema, **more)
    with pytest.raises(Diverged, match="training diverged") as caught:
        train(normed(), pictures(), config)
    assert caught.value.facts["where"].startswith("epoch ")
    assert caught.value.facts["to do"].startswith("use --weight-decay 0.01")


def test_weights_that_are_not_finite_are_divergence_even_where_the_loss_is(configured):
    network = nn.BatchNorm1d(2)
    before = finite_names(network.state_dict())
    assert before == {"weight", "bias", "running_mean", "running_var"}
    check_epoch(network.state_dict(), before, 1.0, 1, configured())
    network.running_var[1] = math.inf
    with pytest.raises(ModelError, match="running_var"):
        check_epoch(network.state_dict(), before, 1.0, 3, configured())


def test_what_was_infinite_from_the_start_may_stay_so(configured):
    network = nn.Linear(2, 2)
    network.register_buffer("mask", torch.full((2, 2), -math.inf).triu(1))
    check_epoch(network.state_dict(), finite_names(network.state_dict()), 1.0, 1, configured())


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"lr": 1e-3}, "use a lower rate, --lr 0.0001, or limit the gradient with --clip-grad 1"),
        ({"lr": 1e9, "clip_grad": 1.0}, "use a lower rate, --lr 0.005"),
        ({"lr": 0.01, "weight_decay": 1e4}, "use --weight-decay 0.01"),
        ({"lr": 0.01, "weight_decay": 1e4, "optimizer": "adam"}, "use a lower rate, --lr 0.001"),
        ({"lr": 1e3, "weight_decay": 0.01}, "use a lower rate, --lr 0.005"),
    ],
)
def test_the_advice_is_a_number(options, advice, configured):
    assert Diverged("the loss is NaN", "epoch 1", configured(**options)).facts["to do"].startswith(advice)
