from dataclasses import asdict

import pytest

from clsbench.errors import OptionError
from clsbench.training.config import TrainConfig
from clsbench.training.recipes import Stage, configure, stages


@pytest.mark.parametrize(
    ("recipe", "options", "want"),
    [
        ("scratch", {}, [Stage("everything", 7, 0, 0.02, 1.0)]),
        ("scratch", {"lr_mult": 0.1}, [Stage("everything", 7, 0, 0.02, 0.1)]),
        ("scratch", {"unfreeze_from": "1"}, [Stage("everything", 7, 2, 0.02, 1.0)]),
        ("frozen", {}, [Stage("head", 7, 4, 0.02, 1.0)]),
        (
            "fine-tune",
            {"freeze_epochs": 3, "lr_mult": 0.1, "unfreeze_mult": 0.25},
            [Stage("head", 3, 4, 0.02, 1.0), Stage("everything", 7, 0, 0.005, 0.1)],
        ),
        (
            "fine-tune",
            {"freeze_epochs": 3, "unfreeze_from": "0.1", "unfreeze_mult": 0.25},
            [Stage("head", 3, 4, 0.02, 1.0), Stage("everything", 7, 1, 0.005, 1.0)],
        ),
        ("fine-tune", {"freeze_epochs": 0}, [Stage("everything", 7, 0, 0.02, 1.0)]),
    ],
)
def test_a_recipe_is_a_row_of_stages(recipe, options, want, normed):
    assert stages(normed(), TrainConfig(recipe=recipe, epochs=7, lr=0.02, **options)) == want


def test_the_head_stage_alone_has_a_frozen_backbone():
    assert [Stage(name, 1, 0, 0.1, 1.0).frozen_backbone for name in ("head", "everything")] == [True, False]


@pytest.mark.parametrize(("group", "match"), [("head", "the head alone"), ("layer9", "no such layer group")])
def test_unfreezing_what_is_not_there_or_only_the_head_is_refused(group, match, normed):
    with pytest.raises(OptionError, match=match):
        stages(normed(), TrainConfig(recipe="fine-tune", epochs=1, lr=0.1, unfreeze_from=group))


@pytest.mark.parametrize(
    ("recipe", "pretrained", "want"),
    [
        (None, False, {"recipe": "scratch", "epochs": 30, "freeze_epochs": 0, "augment": "basic"}),
        (None, True, {"recipe": "fine-tune", "epochs": 5, "freeze_epochs": 5, "augment": "basic", "views": 1}),
        ("frozen", True, {"recipe": "frozen", "epochs": 20, "freeze_epochs": 0, "augment": "none", "views": 1}),
        ("scratch", True, {"recipe": "scratch", "lr_mult": 1.0, "unfreeze_from": None}),
    ],
)
def test_what_is_not_asked_for_is_the_recipes_choice(recipe, pretrained, want, normed):
    config = configure(recipe, pretrained=pretrained, lr=None, head=None)
    assert asdict(config).items() >= want.items()
    assert (config.head, config.schedule, config.optimizer) == ("linear", "one-cycle", "adamw")
    assert 1e-4 < config.lr < 1e-1


def test_what_is_asked_for_is_done_even_where_it_is_zero():
    asked = {"epochs": 3, "freeze_epochs": 0, "lr": 0.7, "lr_mult": 0.5, "weight_decay": 0.0, "seed": 7, "ema": 0.9}
    config = configure("fine-tune", pretrained=True, **asked)
    assert asdict(config).items() >= asked.items()


def test_everything_learns_more_slowly_in_the_first_layers_of_a_pretrained_network():
    assert configure(None, pretrained=True).lr_mult < 1


@pytest.mark.parametrize("recipe", ["fine-tune", "frozen"])
def test_a_recipe_that_starts_from_weights_needs_some(recipe):
    with pytest.raises(OptionError, match="starts from weights") as caught:
        configure(recipe, pretrained=False)
    assert "--pretrained" in caught.value.facts["to do"]


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("scratch", {"freeze_epochs": 2}),
        ("scratch", {"freeze_epochs": 0}),
        ("scratch", {"views": 3}),
        ("frozen", {"freeze_epochs": 2}),
        ("frozen", {"unfreeze_from": "layer4"}),
        ("frozen", {"lr_mult": 0.1}),
    ],
)
def test_an_option_that_a_recipe_cannot_use_is_refused_by_name(recipe, options):
    with pytest.raises(OptionError, match=f"the recipe {recipe} does not take this option") as caught:
        configure(recipe, pretrained=True, **options)
    name, value = options.popitem()
    assert (caught.value.facts["where"], caught.value.facts["got"]) == (f"--{name.replace('_', '-')}", value)


@pytest.mark.parametrize(
    ("asked", "augment", "views"),
    [
        ({}, "none", 1),
        ({"augment": "none"}, "none", 1),
        ({"augment": "basic"}, "basic", 4),
        ({"augment": "trivial", "views": 2}, "trivial", 2),
        ({"augment": "basic", "views": 0}, "basic", 0),
        ({"views": 3}, "basic", 3),
        ({"views": 0}, "basic", 0),
        ({"views": 1}, "none", 1),
    ],
)
def test_a_frozen_backbone_is_shown_several_views_where_pictures_are_augmented(asked, augment, views):
    config = configure("frozen", pretrained=True, **asked)
    assert (config.augment, config.views) == (augment, views)


def test_one_view_leaves_nothing_to_augment():
    with pytest.raises(OptionError, match="nothing to augment"):
        configure("frozen", pretrained=True, augment="basic", views=1)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("frozen", {"augment": "none", "views": 3}),
        ("fine-tune", {"augment": "none", "views": 3}),
        ("fine-tune", {"freeze_epochs": 0, "views": 3}),
    ],
)
def test_views_that_are_all_the_same_or_of_no_use_are_refused(recipe, options):
    with pytest.raises(OptionError):
        configure(recipe, pretrained=True, **options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("freeze_epochs", -1), ("lr", 0.0), ("lr", -1.0), ("lr", float("nan")), ("lr", float("inf")),
        ("lr_mult", 0.0), ("weight_decay", -0.1), ("batch_size", 0), ("accumulate", 0),
        ("label_smoothing", 1.0), ("label_smoothing", -0.1), ("mixup", -1.0), ("cutmix", -1.0), ("views", -1),
        ("ema", 1.0), ("ema", -0.5), ("clip_grad", -1.0), ("patience", -1), ("max_time", -1.0), ("seed", -1),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused_by_the_name_of_its_option(name, value):
    with pytest.raises(OptionError, match="out of range") as caught:
        TrainConfig(**{"epochs": 1, "lr": 0.1, name: value})
    assert caught.value.facts["where"] == f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("name", ["recipe", "schedule", "optimizer", "class_weights", "augment", "cache"])
def test_an_unknown_choice_is_refused_with_those_there_are(name):
    with pytest.raises(OptionError, match="unknown") as caught:
        TrainConfig(**{"epochs": 1, "lr": 0.1, name: "magic"})
    assert getattr(TrainConfig(epochs=1, lr=0.1), name) in caught.value.facts["expected"]


def test_a_head_that_cannot_be_read_is_refused():
    with pytest.raises(OptionError, match="head"):
        TrainConfig(epochs=1, lr=0.1, head="mlp")
