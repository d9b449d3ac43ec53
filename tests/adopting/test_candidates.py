"""Candidates: complete, without doubles, true to what the user fixed; their options mean what they say."""

import dataclasses

import numpy as np
import pytest

from clsbench.adopting.candidates import NORMALISATIONS, candidates, known_normalisation, name_of, options_of
from clsbench.transform import ImageTransform, normalise

BASE = ImageTransform(size=(224, 224), crop_fraction=0.875)


def test_every_combination_once_and_the_base_first():
    found = candidates(BASE)
    assert len(found) == 6 * 2 * 2 * 4  # normalisations, channel orders, filters, fits
    assert found[0].transform == BASE
    assert len({each.transform for each in found}) == len({each.name for each in found}) == len(found)


def test_a_base_that_is_nobodys_habit_is_tried_together_with_all_habits():
    odd = ImageTransform(
        size=(64, 96),
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.5, 0.4),
        crop_fraction=0.9,
        interpolation="lanczos",
        color="BGR",
    )
    found = candidates(odd)
    assert found[0].transform == odd
    assert found[0].name == "mean 0.1,0.2,0.3 std 0.5,0.5,0.4 BGR lanczos crop 0.9"
    assert len(found) == 7 * 2 * 3 * 5
    names = {each.name for each in found}
    assert {"caffe RGB lanczos squash", "mean 0.3,0.2,0.1 std 0.4,0.5,0.5 RGB bicubic crop 0.875"} <= names
    assert {each.transform.size for each in found} == {(64, 96)}


def test_rounded_numbers_of_a_base_are_no_second_candidate():
    rounded = dataclasses.replace(BASE, mean=(0.481, 0.458, 0.408), std=(0.269, 0.261, 0.276))
    found = candidates(rounded)
    assert len(found) == 96
    assert {each.transform.mean for each in found if each.name.startswith("clip RGB")} == {rounded.mean}


@pytest.mark.parametrize("fixed", ["mean", "std", "color", "resize", "crop_fraction", "interpolation"])
def test_what_is_fixed_is_not_varied(fixed):
    found = candidates(BASE, [fixed])
    assert 1 < len(found) < 96
    assert {getattr(each.transform, fixed) for each in found} == {getattr(BASE, fixed)}


def test_grey_stays_grey():
    grey = dataclasses.replace(BASE, color="L")
    assert {each.transform.color for each in candidates(grey)} == {"L"}


def test_a_colour_for_padding_is_kept_for_letterbox_alone():
    base = ImageTransform(size=(8, 8), resize="letterbox", pad=(114, 114, 114))
    assert {(each.transform.resize, each.transform.pad) for each in candidates(base)} == {
        ("letterbox", (114, 114, 114)), ("crop", None), ("squash", None), ("squash-crop", None),
    }  # fmt: skip


def test_the_mean_goes_with_its_colour():
    """Caffe's networks subtract 104 from blue, 117 from green, 123 from red, in that order."""
    (caffe,) = (each.transform for each in candidates(BASE) if each.name == "caffe BGR bilinear crop 0.875")
    red = np.full((1, 1, 1, 3), (200, 10, 20), np.uint8)
    assert normalise(red, caffe)[0, 0, 0] == pytest.approx([20 - 104, 10 - 117, 200 - 123], abs=1e-4)


def test_lites_127_and_128_are_0_5_and_0_5_to_one_grey_level():
    """Why they are no candidate of their own."""
    half = next(each for each in NORMALISATIONS if each.name == "0.5/0.5")
    levels = np.arange(256.0)
    differences = (levels - 127) / 128 - (levels / 255 - half.mean[0]) / half.std[0]
    assert np.abs(differences).max() * 127.5 < 1


def test_rounded_numbers_of_a_file_have_their_name():
    openai = ImageTransform(size=(224, 224), mean=(0.481, 0.458, 0.408), std=(0.269, 0.261, 0.276))
    assert known_normalisation(openai).name == "clip"
    assert name_of(openai) == "clip RGB bilinear crop 1"


def test_the_options_give_the_transform_again():
    """Read back as the command line reads them: mean and std in the units of --range."""
    for each in candidates(dataclasses.replace(BASE, pad=None)):
        words = options_of(each.transform)
        given = dict(zip(words[::2], words[1::2], strict=True))
        unit = 255 if given.get("--range") == "0-255" else 1
        for field in ("mean", "std"):
            values = np.array(given[f"--{field}"].split(","), float) / unit
            assert values == pytest.approx(getattr(each.transform, field), rel=1e-6)
        assert given["--channels"].upper() == each.transform.color
        assert given["--size"] == "{},{}".format(*each.transform.size)
        assert given["--resize"] == each.transform.resize
        assert float(given.get("--crop-fraction", 1)) == each.transform.crop_fraction
        assert given["--interpolation"] == each.transform.interpolation
