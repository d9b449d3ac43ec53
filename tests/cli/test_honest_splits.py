"""--group, near-duplicates and --sampler from the command line."""

import json

import numpy as np
import pytest
from PIL import Image


def photo(seed, side=64):
    random, total = np.random.default_rng(seed), np.zeros((side, side, 3))
    for coarse in (2, 4, 8, 16):
        for channel in range(3):
            noise = Image.fromarray(random.normal(size=(coarse, coarse)).astype(np.float32))
            total[..., channel] += np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(128 + 60 * total, 0, 255).astype(np.uint8))


@pytest.fixture
def clips(tmp_path):
    """12 clips of 4 frames, which are one picture saved at several qualities."""
    for clip in range(12):
        folder = tmp_path / "clips" / ("cat", "dog")[clip % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(4):
            photo(clip).save(folder / f"clip{clip}_frame{frame}.jpg", quality=95 - 10 * frame)
    return tmp_path / "clips"


def train(cli, *more):
    return cli("train", "clips", "--epochs", "1", "--run", "run", "--with", "model.size=16", *more)


def test_frames_in_both_splits_are_found_and_the_group_that_keeps_them_together_is_proposed(cli, clips):
    done = train(cli, "--strict-data")
    assert done.code == 1
    assert "validation images (100%) nearly equal a training image: cat/clip" in done.stderr
    assert "--group '([^/]+)[_-][^/_-]*$' keeps such images together" in done.stderr
    done = train(cli, "--group", "([^/]+)[_-][^/_-]*$", "--strict-data")
    assert done.code == 0, done.stderr
    assert "groups: 12, of 48 images, by the regular expression ([^/]+)[_-][^/_-]*$" in done.stderr


def test_a_run_finds_its_groups_again(cli, clips, tmp_path):
    assert train(cli, "--group", r"clip(\d+)_", "--data-fraction", "0.5", "--seed", "3").code == 0
    record = json.loads((tmp_path / "runs/run/run.json").read_text())
    assert record["split"] == {"seed": 3, "data_fraction": 0.5, "group": r"clip(\d+)_"}
    held_out = {name.split("_")[0] for name in record["splits"]["val"]}
    assert len(record["splits"]["val"]) == 4 * len(held_out)
    done = cli("datasets", "--run", "run")
    assert done.code == 0, done.stderr
    assert "the training images are not the run's" not in done.stderr


def test_a_column_is_taken_where_there_is_one_and_find_lr_and_show_group_too(cli, clips):
    rows = [f"{path.relative_to(clips)},{path.parent.name},p{path.name[4:6]}" for path in sorted(clips.rglob("*.jpg"))]
    (clips / "labels.csv").write_text("\n".join(["path,label,patient", *rows]))
    for command in ("datasets", "show"):
        done = cli(command, "clips/labels.csv", "--group", "patient")
        assert done.code == 0, done.stderr
        assert "by the column patient" in done.stderr
    done = cli("find-lr", "clips/labels.csv", "--group", "patient", "--steps", "20", "--batch-size", "4")
    assert "by the column patient" in done.stderr
    assert "--group patient" in done.stdout + done.stderr


def test_a_balanced_sampler_is_recorded_and_refused_beside_class_weights(cli, clips, tmp_path):
    done = train(cli, "--sampler", "balanced", "--group", "(clip[^_]+)")
    assert done.code == 0, done.stderr
    assert "all classes drawn as often" in done.stdout + done.stderr
    assert json.loads((tmp_path / "runs/run/run.json").read_text())["training"]["sampler"] == "balanced"
    done = train(cli, "--sampler", "balanced", "--class-weights", "balanced")
    assert done.code == 2
    assert "leave one of them out" in done.stderr


def test_digits_are_alike_by_nature_and_no_near_duplicates(cli):
    done = cli("train", "--epochs", "1", "--strict-data", "--run", "digits")
    assert done.code == 0, done.stderr
