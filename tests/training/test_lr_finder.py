import copy
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from clsbench.errors import DataError
from clsbench.training import lr_finder
from clsbench.training.lr_finder import RangeTest, range_test, save_range_test, suggest
from clsbench.training.recipes import stages
from clsbench.training.steps import REPORT, Steps


def fastais_valley(lrs, losses):
    """fastai.callback.schedule.valley, as it stands there."""
    n = len(losses)
    max_start, max_end = 0, 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(0, i):
            if losses[i] < losses[j] and lds[i] < lds[j] + 1:
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    idx = max_start + int(sections) + int(sections / 2)
    return float(lrs[idx])


def fastais_steep(lrs, losses):
    """fastai.callback.schedule.steep, as it stands there."""
    lrs, losses = torch.tensor(lrs), torch.tensor(losses)
    grads = (losses[1:] - losses[:-1]) / (lrs[1:].log() - lrs[:-1].log())
    return lrs[grads.argmin()].item()


def curve(kind, count=100, seed=0):
    """Losses (n,): a bowl, with noise where a seed is given."""
    t, random = np.linspace(0, 1, count), np.random.default_rng(seed)
    return {
        "bowl": 2.3 - 1.5 * np.exp(-((t - 0.7) ** 2) / 0.02) + 4 * np.clip(t - 0.85, 0, 1),
        "noisy": 2.3 - np.exp(-((t - 0.6) ** 2) / 0.05) + random.normal(0, 0.05, count),
        "noise": random.normal(2, 0.1, count),
        "flat, then a bowl": 2.3 + 0.001 * t - 1.5 * np.clip(t - 0.5, 0, 0.3) + 9 * np.clip(t - 0.8, 0, 1),
        "rising": 1 + t,
        "falling": 3 - t,
        "falling, then rising": 3 - t + 5 * np.clip(t - 0.6, 0, 1),
    }[kind]


KINDS = [
    ("bowl", 0), *(("noisy", k) for k in range(4)), *(("noise", k) for k in range(3)), ("flat, then a bowl", 0),
    ("rising", 0), ("falling", 0), ("falling, then rising", 0),
]  # fmt: skip


@pytest.mark.parametrize("count", [100, 73, 41])
@pytest.mark.parametrize(("kind", "seed"), KINDS)
def test_valley_and_steep_are_fastais(kind, seed, count):
    lrs, losses = np.geomspace(1e-7, 10, 100)[:count], curve(kind, seed=seed)[:count]
    got = suggest(lrs, losses, "head", steps=100)
    assert got.valley == fastais_valley(lrs[10:-5], losses[10:-5])
    assert got.steep == pytest.approx(fastais_steep(lrs[10:-5], losses[10:-5]))


@pytest.mark.parametrize("count", range(10, 30))
def test_a_short_curve_has_suggestions_too(count):
    lrs = np.geomspace(1e-7, 10, 100)[:count]
    got = suggest(lrs, curve("noisy")[:count], "head", steps=100)
    assert lrs[0] <= got.valley <= lrs[-1]
    assert lrs[0] <= got.steep <= lrs[-1]


@pytest.fixture
def ready(normed, pictures, configured, set_up_for):
    """ready(lr_mult=…): everything that a range test needs."""
    return lambda **options: set_up_for(normed(), pictures(), configured(**options))


@pytest.mark.parametrize("recipe", ["scratch", "frozen", "fine-tune"])
def test_the_weights_are_exactly_what_they_were(recipe, ready):
    made = ready(recipe=recipe, freeze_epochs=1 if recipe == "fine-tune" else 0)
    before = copy.deepcopy(made.classifier.state_dict())
    test = range_test(made)
    assert test.stage == ("everything" if recipe == "scratch" else "head")
    torch.testing.assert_close(made.classifier.state_dict(), before, rtol=0, atol=0)


def test_rates_rise_in_even_ratios_and_losses_are_smoothed_as_fastais(ready, monkeypatch):
    raw, loss = [], Steps.loss

    def listening(self, inputs, labels):
        found = loss(self, inputs, labels)
        raw.append(float(found[0].detach()))
        return found

    monkeypatch.setattr(Steps, "loss", listening)
    test = range_test(ready())
    np.testing.assert_allclose(test.lrs, np.geomspace(1e-7, 10, 100)[: len(test.lrs)], rtol=1e-6)
    average, smoothed = 0.0, []
    for k, value in enumerate(raw):
        average = 0.98 * average + 0.02 * value
        smoothed.append(average / (1 - 0.98 ** (k + 1)))
    np.testing.assert_allclose(test.losses, smoothed[: len(test.losses)], rtol=1e-6)
    if len(raw) < 100:
        assert not smoothed[-1] <= 4 * min(smoothed)
    assert max(smoothed[: len(test.losses)]) <= 4 * min(smoothed)


def test_each_group_learns_at_its_own_part_of_the_rate(ready, monkeypatch):
    seen, step = [], torch.optim.AdamW.step

    def watching(self, *arguments):
        seen.append({group["lr"] for group in self.param_groups})
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watching)
    range_test(ready(lr_mult=0.01), steps=12)
    for rate, rates in zip(np.geomspace(1e-7, 10, 12), seen, strict=False):
        assert max(rates) == pytest.approx(rate)
        assert min(rates) == pytest.approx(rate / 100)


def test_it_takes_as_many_steps_as_it_is_told_and_says_how_far_it_is(ready, observer):
    made = ready()
    observer.advanced = 0
    assert len(range_test(made, steps=25).lrs) <= 25
    assert observer.stages[-1] == ("learning-rate test", 25)
    assert 10 <= observer.advanced <= 25


def test_a_useful_rate_is_suggested(ready):
    test = range_test(ready())
    assert 1e-6 < test.valley < 1
    assert test.losses.min() < 0.95 * test.losses[0]


def test_a_loss_that_is_no_number_from_the_start_is_an_error_and_weights_are_restored(ready):
    made = ready()
    nn.init.constant_(made.classifier.head.bias, float("nan"))
    before = copy.deepcopy(made.classifier.state_dict())
    with pytest.raises(DataError, match="no curve"):
        range_test(made)
    torch.testing.assert_close(made.classifier.state_dict(), before, rtol=0, atol=0, equal_nan=True)


@pytest.fixture
def on_a_gpu(monkeypatch):
    """on_a_gpu(): the test reads losses as it does where reading one makes a GPU wait; how many it read at once."""

    def answer():
        read = []
        monkeypatch.setattr(lr_finder, "_raise_rates", lambda *given: raise_rates(*given[:4], every=REPORT))
        monkeypatch.setattr(torch, "stack", lambda losses: read.append(len(losses)) or stack(losses))
        return read

    raise_rates, stack = lr_finder._raise_rates, torch.stack
    return answer


@pytest.mark.parametrize("bad", [1e4, math.nan])
def test_the_test_ends_where_the_loss_is_four_times_its_lowest(ready, monkeypatch, on_a_gpu, bad):
    loss = Steps.loss

    def scripted(self, inputs, labels):
        found, logits, images = loss(self, inputs, labels)
        return found - found.detach() + next(losses), logits, images

    monkeypatch.setattr(Steps, "loss", scripted)
    losses = iter([*[2.0] * 33, bad, *[2.0] * 66])
    assert len(range_test(ready()).lrs) == 33
    assert next(losses) == 2.0
    assert len(list(losses)) == 65, "a CPU took steps in vain"
    losses, read = iter([*[2.0] * 33, bad, *[2.0] * 66]), on_a_gpu()
    assert len(range_test(ready()).lrs) == 33
    assert read == [10] * 4


def test_a_gpu_is_waited_for_now_and_then_and_finds_the_same(ready, on_a_gpu):
    want, read = range_test(ready(), steps=25), on_a_gpu()
    got = range_test(ready(), steps=25)
    np.testing.assert_array_equal((got.lrs, got.losses), (want.lrs, want.losses))
    assert read == [10, 10, 5]


def test_training_goes_on_with_the_features_that_the_test_made(ready, observer):
    made = ready(recipe="frozen")
    range_test(made)
    made.batches(stages(made.classifier, made.config)[0])
    assert [name for name, _ in observer.stages].count("features") == 1


def test_the_json_of_a_range_test():
    values = RangeTest(np.array([0.1, 0.2]), np.array([2.0, 1.0]), 0.1, 0.2, "head").to_json()
    assert values == {
        "schema": 1, "valley": 0.1, "steep": 0.2, "stage": "head", "lr_mult": 1.0, "lrs": [0.1, 0.2],
        "losses": [2.0, 1.0],
    }  # fmt: skip


def test_the_curve_is_a_png(tmp_path):
    lrs = np.geomspace(1e-7, 10, 100)
    save_range_test(RangeTest(lrs, curve("bowl"), 1e-3, 1e-2, "head"), tmp_path / "new" / "curve.png")
    with Image.open(tmp_path / "new" / "curve.png") as image:
        assert (image.format, image.width > image.height > 200) == ("PNG", True)
        assert len(image.convert("RGB").getcolors(10**6)) > 20


def test_both_suggestions_lie_well_before_the_lowest_point():
    lrs, losses = np.geomspace(1e-7, 10, 100), curve("bowl")
    got = suggest(lrs, losses, "head")
    lowest = lrs[losses.argmin()]
    assert got.steep < lowest
    assert math.log10(lowest / got.valley) > 0.2


def test_the_unfrozen_network_can_be_tested_in_its_own_stage(ready):
    test = range_test(ready(recipe="fine-tune", freeze_epochs=1, lr_mult=0.1), unfrozen=True)
    assert (test.stage, test.lr_mult) == ("everything", 0.1)
