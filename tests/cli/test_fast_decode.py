"""``--fast-decode auto``: decided by a sample of the job's own images, stated, and kept by resumed jobs and shards."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from clsbench import Observer, infer, merge
from clsbench.api import infer_fast_decode
from clsbench.errors import DataError, OptionError
from clsbench.exporting.gate_paths import PIXEL_TOLERANCE
from clsbench.predictions import ledger
from tests.conftest import COLOURS, picture

COUNT = 40


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    monkeypatch.setattr(infer_fast_decode, "WORTH_COMPARING", COUNT)


def folder_of(folder, images, form="JPEG"):
    encoded = []
    for image in images:
        stream = io.BytesIO()
        image.save(stream, form, **({"quality": 95} if form == "JPEG" else {}))
        encoded.append(stream.getvalue())
    for k in range(COUNT):
        folder.joinpath(f"{k:02}.jpg").write_bytes(encoded[k % len(encoded)])
    return folder


@pytest.fixture(scope="module")
def clear(tmp_path_factory):
    """Large JPEGs of three colours: no decoding makes another of them."""
    images = [picture(list(COLOURS)[k], size=(160, 120), seed=k) for k in range(3)]
    return folder_of(tmp_path_factory.mktemp("clear"), images)


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """Large JPEGs whose channels are about the same: what is best hangs on every pixel."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 120, 160, 3), np.uint8)
    return folder_of(tmp_path_factory.mktemp("grey"), [Image.fromarray(pixels) for pixels in noise])


@pytest.fixture
def job(tiny_onnx, tmp_path):
    out = tmp_path / "preds.csv"
    return {"model": tiny_onnx, "labels": "none", "probabilities": True, "device": "cpu", "tune": "off", "out": out}


def rows(job, images, **changes):
    result = infer(images, **{**job, **changes, "overwrite": True})
    return result, job["out"].read_bytes()


def test_images_that_keep_their_labels_are_decoded_smaller(job, clear):
    result, written = rows(job, clear)
    stated = json.loads(job["out"].with_name("preds.csv.json").read_text())
    assert stated["options"]["fast_decode"] is stated["fast_decode"]["used"] is True
    assert stated["fast_decode"]["gate"]["images"] == 32
    assert "no labels of 32 images change" in stated["fast_decode"]["why"]
    assert result.to_json()["fast_decode"] == stated["fast_decode"]
    assert written == rows(job, clear, fast_decode=True)[1]


def test_images_whose_probabilities_move_are_decoded_whole(job, grey):
    result, written = rows(job, grey)
    assert result.fast_decode is False
    assert result.manifest.fast_decode["gate"]["max_probability_difference"] > PIXEL_TOLERANCE
    assert "probabilities move by at most 0.0" in result.manifest.fast_decode["why"]
    assert written == rows(job, grey, fast_decode=False)[1]


def test_jobs_of_few_images_and_of_small_ones_are_not_compared(job, clear, tmp_path, monkeypatch):
    monkeypatch.setattr("clsbench.exporting.gate.measure", lambda *_, **__: pytest.fail("it compares"))
    small = folder_of(tmp_path, [picture("red", size=(12, 12))])
    few = clear / "00.jpg"
    for images in (small, few):
        result, _ = rows(job, images)
        assert (result.fast_decode, result.manifest.fast_decode) == (False, None)
    assert rows(job, clear, fast_decode=False)[0].manifest.fast_decode is None


class Impatient(Observer):
    """Interrupts a job as soon as a part of it is done."""

    running = False

    def stage(self, name, total=None):
        self.running = name == "images"

    def advance(self, count, failed=0):
        if self.running:
            raise KeyboardInterrupt


def test_a_job_that_is_continued_keeps_what_was_decided(job, clear, monkeypatch):
    monkeypatch.setattr(ledger, "PATIENCE", 0.0)
    monkeypatch.setattr(ledger, "INTERVAL", 0.0)
    whole = rows(job, clear)[1]
    job["out"].unlink()
    with pytest.raises(KeyboardInterrupt):
        rows(job, clear, observer=Impatient())
    monkeypatch.setattr(infer_fast_decode, "_compared", lambda *_: pytest.fail("it compares again"))
    result, written = rows(job, clear, resume=True)
    assert (result.fast_decode, written) == (True, whole)
    assert result.resumed
    assert result.manifest.fast_decode["why"] == "as the job that is continued has it"
    assert rows(job, clear, resume=True)[0].recorded  # finished: recognised, not run
    with pytest.raises(DataError, match="fast-decode not given, was True"):
        infer(clear, **job, resume=True, fast_decode=False)


def test_shards_decide_alike_and_others_are_not_merged(job, clear, tmp_path):
    parts = [tmp_path / f"{k}.csv" for k in (1, 2, 3)]
    for k, options in enumerate(({"shard": "1/2"}, {"shard": "2/2"}, {"shard": "2/2", "fast_decode": False})):
        infer(clear, **{**job, "out": parts[k]}, **options)
    whole = rows(job, clear)[1]
    merged = merge(parts[:2], out=tmp_path / "merged.csv")
    assert merged.out.read_bytes() == whole
    assert merged.manifest.fast_decode["gate"]["images"] == 32
    with pytest.raises(DataError, match="another set of options"):
        merge([parts[0], parts[2]], out=tmp_path / "mixed.csv")


def test_anything_else_is_refused(job, clear):
    with pytest.raises(OptionError, match="fast_decode"):
        infer(clear, **job, fast_decode="perhaps")


def test_the_option_takes_one_of_three_words(cli, refused, clear, tiny_onnx, tmp_path):
    given = ("infer", clear, "--model", tiny_onnx, "--labels", "none", "--device", "cpu")
    for word, used in (("on", True), ("off", False), ("auto", True)):
        facts = tmp_path / f"{word}.json"
        cli(*given, "--fast-decode", word, "--json", facts)
        assert json.loads(facts.read_text())["options"]["fast_decode"] is used
    refused(2, ["auto", "on", "off"], *given, "--fast-decode", "perhaps")
