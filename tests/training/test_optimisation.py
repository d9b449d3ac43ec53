import math

import pytest
import torch
from torch import nn

from clsbench.training.freezing import Group
from clsbench.training.optimisation import build_optimizer, build_schedule


@pytest.fixture
def groups():
    torch.manual_seed(0)
    layers = {"body": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), "head": nn.Linear(4, 2)}
    return [Group(name, list(layers[name].parameters()), lr) for name, lr in (("body", 0.01), ("head", 0.1))]


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_optimizers_are_torchs(name, kind, groups, configured):
    optimizer = build_optimizer(groups, configured(optimizer=name))
    assert type(optimizer) is kind
    assert optimizer.defaults.get("momentum", 0.9) == 0.9


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_each_parameter_has_its_groups_rate_and_only_matrices_and_kernels_decay(name, groups, configured):
    optimizer = build_optimizer(groups, configured(optimizer=name, weight_decay=0.2))
    got = {id(p): (part["lr"], part["weight_decay"]) for part in optimizer.param_groups for p in part["params"]}
    want = {id(p): (group.lr, 0.2 if p.dim() >= 2 else 0.0) for group in groups for p in group.parameters}
    assert got == want
    assert sum(len(part["params"]) for part in optimizer.param_groups) == len(want)


def test_adamw_without_gradient_shrinks_weights_and_leaves_biases(groups, configured):
    optimizer = build_optimizer(groups[1:], configured(weight_decay=0.2))
    weight, bias = groups[1].parameters
    before = weight.detach().clone(), bias.detach().clone()
    weight.grad, bias.grad = torch.zeros_like(weight), torch.zeros_like(bias)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), before[0] * (1 - 0.1 * 0.2))
    torch.testing.assert_close(bias.detach(), before[1], rtol=0, atol=0)


def rates(groups, config, steps):
    """The rates (body, head) that each step takes, and those after the last."""
    optimizer = build_optimizer(groups, config)
    schedule, seen = build_schedule(optimizer, config, steps), []
    for _ in range(steps):
        seen.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[-1]["lr"]))
        optimizer.step()
        schedule.step()
    return [*seen, (optimizer.param_groups[0]["lr"], optimizer.param_groups[-1]["lr"])]


def one_cycle(t, steps):
    """Smith and Topin's cycle as torch and fastai anneal it: up for 30 %, then down, both on a cosine."""
    peak = 0.3 * (steps + 1) - 1
    start, end, part = (1 / 25, 1, t / peak) if t <= peak else (1, 1 / 25 / 1e4, (t - peak) / (steps - peak))
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


@pytest.mark.parametrize(
    ("schedule", "formula"),
    [
        ("one-cycle", one_cycle),
        ("cosine", lambda t, steps: (1 + math.cos(math.pi * t / steps)) / 2),
        ("step", lambda t, steps: 1.0 if t < steps / 2 else 0.1 if t < 3 * steps / 4 else 0.01),
        ("constant", lambda t, steps: 1.0),
    ],
)
@pytest.mark.parametrize("steps", [40, 99])
def test_schedules_follow_their_formula_in_every_group(schedule, formula, steps, groups, configured):
    want = [formula(t, steps) for t in range(steps + 1)]
    body, head = zip(*rates(groups, configured(schedule=schedule), steps), strict=True)
    if schedule == "step":  # at most one step beside the exact half of an odd number
        steps_apart = [abs(head.index(pytest.approx(r)) - want.index(pytest.approx(r / 0.1))) for r in (0.01, 0.001)]
        assert max(steps_apart) <= 1
        want = [r / 0.1 for r in head]
    assert head == pytest.approx([0.1 * r for r in want])
    assert body == pytest.approx([0.01 * r for r in want])


def test_one_cycle_reaches_the_full_rate_and_ends_at_practically_nothing(groups, configured):
    _, head = zip(*rates(groups, configured(), 99), strict=True)
    assert max(head) == pytest.approx(0.1)
    assert head[-1] < 0.1 / 1e4


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step", "constant"])
def test_a_training_of_one_step_has_a_schedule(schedule, groups, configured):
    assert 0 < rates(groups, configured(schedule=schedule), 1)[0][1] <= 0.1 + 1e-12
