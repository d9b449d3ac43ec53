"""``infer --features``: what goes into the head, row by row, in each format, after kills and in shards."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clsbench import DataError, OptionError, PluginError, infer, merge
from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.model_file import read_card
from clsbench.predictions.feature_file import features_path
from tests.cli.test_resume import Impatient

SUFFIXES = ("csv", "jsonl", "parquet")


@pytest.fixture
def images(photos):
    """Six images of each colour, in order of their names, one of them damaged."""
    folder = photos / "train"
    (folder / "green" / "1.jpg").write_bytes((folder / "green" / "1.jpg").read_bytes()[:50])
    return folder


@pytest.fixture
def job(images, featured_onnx, tmp_path):
    options = {"model": featured_onnx, "device": "cpu", "batch_size": 4, "tune": "off", "features": True}
    return {"images": images, "out": tmp_path / "preds.csv", **options}


def reference(images, model, names):
    """Mean and maximum of each channel of the pixels that the network gets, float32 (N, 6)."""
    loader = ImageLoader(read_card(model).transform)
    rows = []
    for name in names:
        try:
            pixels = loader(FileEntry(name, str(images / name))).astype(np.float32)
            rows.append([*pixels.mean(axis=(0, 1)), *pixels.max(axis=(0, 1))])
        except DataError:
            rows.append([np.nan] * 6)
    return np.array(rows, np.float32)


def written(out):
    """Names and features (N, D) of a predictions file, each by another library than clsbench."""
    if out.suffix == ".parquet":
        table = pq.read_table(out)
        rows = table.column("features").to_pylist()
        assert table.schema.field("features").type.list_size == 6
        return table.column("path").to_pylist(), np.array(rows, np.float32)
    lines = out.read_text().splitlines()
    lines = lines[1:] if out.suffix == ".csv" else lines
    names = [line.split(",")[0] if out.suffix == ".csv" else json.loads(line)["path"] for line in lines]
    return names, np.load(f"{out}.features.npy", allow_pickle=False)


@pytest.mark.parametrize("executor", ["threads", "serial"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_row_has_the_features_of_its_image(cli, images, featured_onnx, tmp_path, suffix, executor):
    out = tmp_path / f"preds.{suffix}"
    options = ("--features", "--model", featured_onnx, "--executor", executor, "--batch-size", 4, "--probabilities")
    done = cli("infer", images, "--out", out, *options)
    assert done.code == 0, done.stderr
    names, features = written(out)
    assert len(names) == 12
    expected = reference(images, featured_onnx, names)
    assert np.isnan(expected[names.index("green/1.jpg")]).all()
    assert np.isnan(expected).sum() == 6
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, rtol=1e-6)
    told = json.loads(Path(f"{out}.json").read_text())
    where = {"column": "features"} if suffix == "parquet" else {"file": f"preds.{suffix}.features.npy"}
    assert told["features"] == {"dim": 6, **where}
    assert told["options"]["features"] is True
    assert features_path(out).exists() == (suffix != "parquet")
    assert (features_path(out).name in done.stderr) == (suffix != "parquet")
    assert cli("evaluate", out).code == 0


def test_nothing_is_there_of_them_where_they_are_not_asked_for(job):
    result = infer(**{**job, "features": False})
    assert "features" not in result.to_json()
    assert "features" not in result.to_json()["options"]
    assert "features" not in result.to_arrow().column_names
    assert not features_path(job["out"]).exists()


def test_the_table_of_the_result_has_them(job, images, featured_onnx):
    table = infer(**{**job, "out": None}).to_arrow()
    expected = reference(images, featured_onnx, table.column("path").to_pylist())
    np.testing.assert_allclose(np.array(table.column("features").to_pylist()), expected, rtol=1e-6)
    infer(**{**job, "out": job["out"].with_suffix(".parquet")})
    file = pq.read_table(job["out"].with_suffix(".parquet"))
    assert table.schema.equals(file.schema)
    for name in table.column_names:
        assert str(table.column(name).to_pylist()) == str(file.column(name).to_pylist())  # NaN is not NaN


def test_they_go_where_they_can_be_kept_or_it_is_refused(job, tmp_path):
    for out in (io.BytesIO(), os.devnull):
        with pytest.raises(OptionError, match="a stream has no room for features"):
            infer(**{**job, "out": out, "format": "csv"})
    with pytest.raises(OptionError, match="features are written to a file"):
        infer(**{**job, "out": None}, keep_rows=False)
    with pytest.raises(OptionError, match="asked for and left out"):
        infer(**{**job, "out": job["out"].with_suffix(".parquet")}, options={"writer.features": False})
    assert not list(tmp_path.glob("preds*"))


def test_the_option_of_a_writer_asks_for_them_too(job):
    file = job["out"].with_suffix(".parquet")
    infer(**{**job, "out": file, "features": False}, options={"writer.features": True})
    assert written(file)[1].shape == (12, 6)


def test_a_file_of_that_name_is_replaced_only_when_asked_and_never_an_input(job, images, featured_onnx):
    features = features_path(job["out"])
    features.write_bytes(b"precious")
    for asked in (True, False):
        with pytest.raises(DataError, match="the output is there already"):
            infer(**{**job, "features": asked})
    shutil.copy(featured_onnx, features)
    with pytest.raises(DataError, match="would overwrite an input"):
        infer(**{**job, "model": features}, overwrite=True)
    infer(**job, overwrite=True)
    assert np.load(features).shape == (12, 6)
    Image.new("RGB", (9, 9)).save(features, "PNG")
    with pytest.raises(DataError, match="would overwrite an image"):
        infer(**job, overwrite=True)


@pytest.mark.parametrize("features", [True, False])
def test_a_name_that_has_no_room_for_more_is_shortened(job, features):
    job |= {"out": job["out"].with_name("x" * 240 + ".csv"), "features": features}
    infer(**job)
    infer(**job, overwrite=True)
    assert features_path(job["out"]).is_file() == features


def test_features_do_not_stay_beside_predictions_that_are_not_theirs(job):
    infer(**job)
    infer(**{**job, "features": False}, overwrite=True)
    assert not features_path(job["out"]).exists()


def test_a_file_of_that_name_that_is_something_else_stays(job):
    features_path(job["out"]).write_bytes(b"something else")
    infer(**{**job, "features": False}, overwrite=True)
    assert features_path(job["out"]).read_bytes() == b"something else"


def test_a_finished_job_is_recognised_with_its_features_only(job):
    infer(**job)
    assert infer(**job, resume=True).recorded is not None
    with pytest.raises(DataError, match="features not given, was True"):
        infer(**{**job, "features": False}, resume=True)
    np.save(features_path(job["out"]), np.zeros((3, 6), np.float32))
    with pytest.raises(DataError, match="not those of the predictions file"):
        infer(**job, resume=True)
    features_path(job["out"]).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        infer(**job, resume=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_shards_together_are_the_whole_byte_for_byte(job, tmp_path, suffix):
    whole, merged = tmp_path / f"whole.{suffix}", tmp_path / f"merged.{suffix}"
    files = [tmp_path / f"{k}.{suffix}" for k in (1, 2, 3)]
    for k, file in enumerate(files, 1):
        infer(**{**job, "out": file}, shard=f"{k}/3")
    infer(**{**job, "out": whole})
    result = merge(files[::-1], merged)
    assert merged.read_bytes() == whole.read_bytes()
    assert result.to_json()["features"]["dim"] == 6
    if suffix != "parquet":
        assert features_path(merged).read_bytes() == features_path(whole).read_bytes()
        assert result.to_json()["features"]["file"] == features_path(merged).name
        np.save(features_path(files[0]), np.zeros((1, 6), np.float32))
        with pytest.raises(DataError, match="not those of the predictions file"):
            merge(files, tmp_path / f"again.{suffix}")
        assert not list(tmp_path.glob("*again*"))
    infer(**{**job, "out": files[0], "features": False}, shard="1/3", overwrite=True)
    with pytest.raises(DataError, match="shards of two jobs"):
        merge(files, merged, overwrite=True)
    assert merged.read_bytes() == whole.read_bytes()


def test_merged_predictions_without_features_leave_none_of_earlier_ones(job, tmp_path):
    infer(**job)
    for k in (1, 2):
        infer(**{**job, "out": tmp_path / f"{k}.csv", "features": False}, shard=f"{k}/2")
    merge([tmp_path / "1.csv", tmp_path / "2.csv"], job["out"], overwrite=True)
    assert not features_path(job["out"]).exists()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """900 small images."""
    folder = tmp_path_factory.mktemp("many")
    noise = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), np.uint8)
    for k in range(900):
        Image.fromarray(noise[k % 30]).save(folder / f"{k:05}.png")
    folder.joinpath("00100.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_job_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(job, many, tmp_path, suffix):
    random.seed(suffix)
    job = {**job, "images": str(many), "out": str(tmp_path / f"preds.{suffix}"), "model": str(job["model"])}
    job |= {"labels": "none", "resume": True, "batch_size": 16}
    kills = [{"kill_at": point} for point in sorted(random.sample(range(800), 4))]
    given = json.dumps({"job": job, "attempts": [*kills, {}], "feature_dim": 6})
    command = [sys.executable, Path(__file__).with_name("killed_jobs.py"), given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    ended = json.loads(done.stdout)
    assert [status for status, _ in ended] == [-9] * 4 + [0], done.stderr
    assert len({rows for _, rows in ended}) > 2, ended
    out, whole = Path(job["out"]), tmp_path / "whole" / f"preds.{suffix}"
    infer(**{**job, "out": whole, "resume": False})
    pairs = [(out, whole), (features_path(out), features_path(whole))]
    for one, other in pairs if suffix == "csv" else pairs[:1]:
        assert one.read_bytes() == other.read_bytes()
    there = {path.name for path in whole.parent.iterdir()}
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == there


def test_a_job_is_not_continued_without_its_features_or_with_new_ones(job, many):
    job |= {"images": many, "labels": "none", "resume": True, "batch_size": 16}
    for first, said in ((True, "features not given, was True"), (False, "features True, was not given")):
        with pytest.raises(KeyboardInterrupt):
            infer(**{**job, "features": first}, observer=Impatient(200))
        with pytest.raises(DataError, match="cannot be continued") as error:
            infer(**{**job, "features": not first})
        assert said in str(error.value)
        assert infer(**{**job, "features": first, "resume": False}, restart=True).counts.errors == 1
        job["out"] = job["out"].with_name("other.csv")


PLUGIN = """
    import numpy as np
    from clsbench import Backend, Component, DeviceInfo, FeatureBackend, hookimpl

    class Plain(Backend):
        device, streams, batch_size = DeviceInfo(provider="numpy", device="cpu"), 1, 8
        def __init__(self, model_path, device): ...
        def __call__(self, images):
            return images.mean(axis=(1, 2), dtype=np.float32)
        def close(self): ...

    class Featured(Plain, FeatureBackend):
        def __init__(self, model_path, device, *, odd: str = ""):
            self.odd = odd
        def with_features(self, images):
            features = np.concatenate([self(images), images.max(axis=(1, 2)).astype(np.float32)], axis=1)
            return {"": (self(images), features), "alone": self(images), "short": (self(images), features[1:]),
                    "type": (self(images), features.astype(float))}[self.odd]

    class Blind:
        execution = None
        def run(self, spec, entries):
            from dataclasses import replace
            from clsbench.inference.executors import SerialExecutor
            serial = SerialExecutor()
            yield from (replace(block, features=None) for block in serial.run(spec, entries))

    class Writer:
        def __init__(self, path, card, *, topk: int = 0, features: bool = False):
            self.path, self.features, self.rows = path, features, []
        def __enter__(self):
            return self
        def write(self, predictions):
            self.rows += predictions.features[:, 0].tolist() if self.features else []
        def __exit__(self, kind, error, trace):
            if error is None:
                self.path.write_text(str(len(self.rows)))

    @hookimpl
    def register_backends():
        yield Component("plain", Plain, "logits alone")
        yield Component("featured", Featured, "features too")

    @hookimpl
    def register_executors():
        yield Component("blind", Blind, "drops the features")

    @hookimpl
    def register_writers():
        yield Component("acme", Writer, "has features itself")
"""


def test_a_plugins_backend_gives_features_or_is_named(job, fake_distribution, cli, tmp_path):
    fake_distribution("clsbench-acme", PLUGIN)
    infer(**{**job, "backend": "featured"})
    ours = infer(**{**job, "out": None}).to_arrow()
    np.testing.assert_allclose(np.load(features_path(job["out"])), np.array(ours.column("features").to_pylist()))
    infer(**{**job, "backend": "plain", "features": False}, overwrite=True)
    with pytest.raises(PluginError, match="acme/plain gives no features") as error:
        infer(**{**job, "backend": "plain"}, overwrite=True)
    assert "clsbench-acme 1.0" in str(error.value)
    for odd in ("alone", "short", "type"):
        with pytest.raises(PluginError, match="acme/featured returned something other than"):
            infer(**{**job, "backend": "featured"}, options={"backend.odd": odd}, overwrite=True)
    with pytest.raises(PluginError, match="acme/blind yielded no features"):
        infer(**{**job, "executor": "blind"}, overwrite=True)
    infer(**{**job, "out": tmp_path / "preds.acme"})
    assert (tmp_path / "preds.acme").read_text() == "12"
    assert not features_path(tmp_path / "preds.acme").exists()
