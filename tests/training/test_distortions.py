import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.transforms import v2

from clsbench.training import distortions
from clsbench.training.distortions import KINDS, LEVELS, RAND_LEVEL, STEPS, distort, draw, strengths

SIZE = (40, 56)
TRANSFORMS = {"rand": v2.RandAugment, "trivial": v2.TrivialAugmentWide}
#: torchvision's own, where the level counts.
WITH_LEVELS = KINDS[: KINDS.index("AutoContrast")]


@pytest.fixture(scope="module")
def pictures():
    """uint8 (6, 3, h, w): smooth and noisy, of little contrast, and of one colour."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = [127 + 120 * np.sin(x / (3 + k) + k) * np.cos(y / (5 + k)) for k in range(9)]
    noise = random.integers(0, 256, (2, 3, *SIZE))
    faint = 90 + random.integers(0, 40, (3, *SIZE))
    smooth = np.stack(waves).reshape(3, 3, *SIZE)[:2]
    return torch.from_numpy(np.stack([*smooth, *noise, faint, np.full((3, *SIZE), 77)]).astype(np.uint8))


def torchvisions(image, policy, kind, strength, fill):
    """One image by one distortion, as torchvision applies it."""
    transform = TRANSFORMS[policy](fill=list(fill) if fill else None)
    return transform._apply_image_or_video_transform(image, kind, strength, transform.interpolation, transform._fill)


@pytest.mark.parametrize("fill", [None, (200, 10, 90)])
@pytest.mark.parametrize(("policy", "levels"), [("rand", (RAND_LEVEL,)), ("trivial", (0, 3, 15, 20, LEVELS - 1))])
def test_each_distortion_is_torchvisions(policy, levels, fill, pictures):
    each = [
        (k, n, sign * strengths(policy, SIZE)[k, level])
        for k, kind in enumerate(KINDS)
        for level in levels
        for sign in ((1, -1) if kind in KINDS[:10] else (1,))
        for n in range(len(pictures))
    ]
    np.random.default_rng(1).shuffle(each)
    kinds, images, strength = (np.array(column) for column in zip(*each, strict=True))
    kinds = kinds.astype(int)
    got = distort(pictures[images.astype(int)], kinds[:, None], strength[:, None], fill)
    for k, n, value, found in zip(kinds, images.astype(int), strength, got, strict=True):
        want = torchvisions(pictures[n], policy, KINDS[k], float(value), fill)
        apart = (found.int() - want.int()).abs()
        if k < 5:  # a neighbour may be another one where two are equally near
            assert (apart > 0).float().mean() < 0.01, (KINDS[k], value, n)
        else:
            assert apart.max() <= 1, (KINDS[k], value, n)
            assert (apart > 0).float().mean() < 0.01, (KINDS[k], value, n)


@pytest.mark.parametrize("policy", TRANSFORMS)
@pytest.mark.parametrize("size", [(224, 224), (331, 200), (32, 32)])
def test_strengths_are_torchvisions(policy, size):
    space = TRANSFORMS[policy]._AUGMENTATION_SPACE
    assert set(space) == set(KINDS)
    for kind, row in zip(KINDS, strengths(policy, size), strict=True):
        wanted, signed = space[kind]
        wanted = wanted(LEVELS, *size)
        assert signed == (kind in KINDS[:10] and kind != "Identity")
        if wanted is not None:
            np.testing.assert_array_equal(row, wanted.double().numpy())


def test_rand_takes_torchvisions_number_of_steps_and_level():
    made = v2.RandAugment()
    assert (made.num_ops, made.magnitude, made.num_magnitude_bins) == (STEPS["rand"], RAND_LEVEL, LEVELS)
    assert v2.TrivialAugmentWide().num_magnitude_bins == LEVELS


@pytest.mark.parametrize("policy", TRANSFORMS)
def test_kinds_levels_and_signs_are_drawn_evenly(policy):
    numbers = np.random.default_rng(0).random((28_000, STEPS[policy], 3))
    kinds, strength = draw(policy, numbers, SIZE)
    counts = np.bincount(kinds.ravel(), minlength=len(KINDS)) / STEPS[policy]
    np.testing.assert_allclose(counts, 2000, rtol=0.12)
    drawn = np.unique(strength[kinds == KINDS.index("Color")])
    assert len(drawn) == (2 if policy == "rand" else 2 * LEVELS - 1)
    assert (strength[kinds == KINDS.index("Rotate")] < 0).mean() == pytest.approx(0.5, abs=0.05)
    assert (strength[kinds >= KINDS.index("Posterize")] >= 0).all()


def test_distortions_follow_each_other_whatever_the_batch(pictures):
    kinds, strength = draw("rand", np.random.default_rng(2).random((6, 2, 3)), SIZE)
    together = distort(pictures, kinds, strength)
    for k in range(6):
        one = slice(k, k + 1)
        alone = distort(pictures[one], kinds[one, :1], strength[one, :1])
        alone = distort(alone, kinds[one, 1:], strength[one, 1:])
        torch.testing.assert_close(alone[0], together[k], rtol=0, atol=0)


class Counted(TorchDispatchMode):
    """Counts the operators that are run: on a GPU nearly all of them launch a kernel."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        return func(*args, **(kwargs or {}))


def test_ten_times_the_images_take_no_more_launches(monkeypatch):
    monkeypatch.setattr(distortions, "CACHED", 1 << 40)  # a GPU takes all of a kind at once
    kinds, strength = draw("rand", np.random.default_rng(3).random((64, 2, 3)), SIZE)
    calls = []
    for times in (1, 10):
        with Counted() as counted:
            distort(
                torch.zeros(64 * times, 3, *SIZE, dtype=torch.uint8),
                *(np.tile(a, (times, 1)) for a in (kinds, strength)),
            )
        calls.append(counted.calls)
    assert calls[0] == calls[1]
