import copy

import pytest
import torch
from torch import nn

from clsbench.errors import OptionError
from clsbench.models.classifier import Classifier
from clsbench.training.freezing import first_group, freeze, learning_groups, training_mode
from clsbench.transform import ImageTransform


def names(classifier):
    return [name for name, _ in classifier.layer_groups]


@pytest.fixture
def staged():
    """A network with the groups stem, layer1.0, layer1.1 and head."""
    backbone = nn.Module()
    linear = [("stem", nn.Linear(4, 4)), ("layer1.0", nn.Linear(4, 4)), ("layer1.1", nn.Linear(4, 4))]
    for name, layer in linear:
        backbone.add_module(name.replace(".", "_"), layer)
    transform = ImageTransform(size=(1, 1))
    groups = [(name, list(layer.parameters())) for name, layer in linear]
    return Classifier(backbone, nn.Linear(4, 2), transform=transform, feature_dim=4, layer_groups=groups)


@pytest.mark.parametrize(
    ("name", "position"), [("stem", 0), ("layer1", 1), ("layer1.0", 1), ("layer1.1", 2), ("head", 3)]
)
def test_a_layer_group_is_named_in_full_or_by_the_first_parts_of_its_name(staged, name, position):
    assert first_group(staged, name) == position


@pytest.mark.parametrize("name", ["layer", "layer1.", "layer2", ""])
def test_an_unknown_layer_group_is_refused_with_those_there_are(staged, name):
    with pytest.raises(OptionError, match="no such layer group") as caught:
        first_group(staged, name)
    assert caught.value.facts["expected"] == "stem, layer1.0, layer1.1, head"


@pytest.mark.parametrize("before", [0, 1, 3])
def test_groups_before_the_first_are_frozen_and_all_others_learn(staged, before):
    freeze(staged, 3 - before)
    freeze(staged, before)
    learns = {name: {p.requires_grad for p in parameters} for name, parameters in staged.layer_groups}
    assert learns == {name: {k >= before} for k, name in enumerate(names(staged))}


def test_learning_rates_rise_in_even_ratios_to_the_root_of_the_factor_and_the_head_has_all(staged):
    groups = learning_groups(staged, 0.8, 0.0001)
    assert [group.name for group in groups] == ["stem", "layer1.0", "layer1.1", "head"]
    assert [group.lr for group in groups] == pytest.approx([0.00008, 0.0008, 0.008, 0.8])


def test_rates_of_a_half_frozen_network_start_at_the_first_group_that_learns(staged):
    freeze(staged, 1)
    rates = {group.name: group.lr for group in learning_groups(staged, 0.8, 0.25)}
    assert rates == pytest.approx({"layer1.0": 0.2, "layer1.1": 0.4, "head": 0.8})


def test_a_factor_of_1_is_one_rate_for_all(staged):
    assert [group.lr for group in learning_groups(staged, 0.8, 1.0)] == [0.8] * 4


def test_a_head_that_learns_alone_learns_at_the_full_rate(staged):
    freeze(staged, 3)
    assert [(g.name, g.lr) for g in learning_groups(staged, 0.8, 0.5)] == [("head", 0.8)]


def test_every_parameter_that_learns_is_in_one_group(staged):
    freeze(staged, 1)
    grouped = [id(p) for group in learning_groups(staged, 0.8, 0.5) for p in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in staged.parameters() if p.requires_grad)


def trained_state(classifier, first, *, keep_statistics=False):
    """All weights and statistics before and after some training steps."""
    freeze(classifier, first)
    before = copy.deepcopy(classifier.state_dict())
    optimizer = torch.optim.SGD([p for p in classifier.parameters() if p.requires_grad], lr=0.5)
    for step in range(3):
        training_mode(classifier, keep_statistics=keep_statistics)
        images = torch.randint(0, 256, (6, 8, 8, 3), generator=torch.Generator().manual_seed(step)).to(torch.uint8)
        nn.functional.cross_entropy(classifier(images), torch.tensor([0, 1, 2, 0, 1, 2])).backward()
        optimizer.step()
        optimizer.zero_grad()
    return before, classifier.state_dict()


@pytest.mark.parametrize(("first", "frozen"), [(0, ()), (1, ("backbone.0.",)), (2, ("backbone.",))])
def test_frozen_groups_keep_weights_and_statistics_and_all_others_change(normed, first, frozen):
    classifier = normed()
    assert names(classifier) == ["0.0", "0.1", "1.0", "1.1", "head"]
    before, after = trained_state(classifier, [0, 2, 4][first])
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    assert unchanged == {name for name in before if name.startswith(frozen)}


def test_statistics_can_be_kept_where_weights_learn(normed):
    before, after = trained_state(normed(), 0, keep_statistics=True)
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert unchanged == {name for name in before if name.endswith(statistics)} != set()


class Block(nn.Module):
    """A layer whose output is drawn by lot while it trains."""

    def __init__(self, normalised):
        super().__init__()
        self.layer, self.lot = nn.Linear(6, 6), nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(6, affine=False) if normalised else nn.Identity()

    def forward(self, x):
        return self.norm(self.lot(self.layer(x)))


@pytest.mark.parametrize("normalised", [False, True])
def test_what_a_frozen_group_gives_depends_on_the_picture_alone(normalised):
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Sequential(Block(normalised)), nn.Sequential(nn.Linear(6, 6)))
    transform = ImageTransform(size=(1, 2))
    groups = [("first", list(backbone[1].parameters())), ("second", list(backbone[2].parameters()))]
    classifier = Classifier(backbone, nn.Linear(6, 2), transform=transform, feature_dim=6, layer_groups=groups)
    freeze(classifier, 1)
    training_mode(classifier, keep_statistics=False)
    x = torch.randn(5, 6)
    torch.testing.assert_close(backbone[:2](x), backbone[:2](x), rtol=0, atol=0)
    assert classifier.head.training


def test_what_learns_trains_with_its_dropout(normed):
    classifier = normed(nn.Sequential(nn.Dropout(0.5), nn.Linear(24, 3)))
    freeze(classifier, 4)
    classifier.eval()
    training_mode(classifier, keep_statistics=False)
    assert [module.training for module in (classifier.head[0], classifier.backbone[0][1])] == [True, False]
