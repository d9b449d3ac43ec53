import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.json_fields import write_json
from clsbench.predictions.manifest import Manifest, manifest_path, read_manifest

#: As infer writes it.
FACTS = {
    "schema": 1,
    "clsbench": "0.1.0",
    "started": "2026-11-20T10:00:00+00:00",
    "images": "photos",
    "model": {"file": "m.onnx", "sha256": "12ab", "card": {"classes": ["a", "b"], "model": {"name": "resnet18"}}},
    "device": {"provider": "CPUExecutionProvider", "device": "cpu", "indices": []},
    "options": {"batch_size": 8, "with": []},
    "labels": {"source": None, "notes": ["none found"]},
    "counts": {"total": 3, "ok": 2, "errors": 1, "labelled": 0},
    "metrics": {},
    "metric_errors": {"acme/odd": "ValueError: x"},
    "throughput": {
        "images_per_second": 255.5,
        "steady_images_per_second": 271,
        "limit": 301.5,
        "fraction_of_limit": 0.9,
        "bound": "model",
        "seconds": 39.25,
        "core_ms_per_image": {"read": 1.0},
        "read_ms_per_image": 0.5,
        "inference_ms_per_image": 5,
        "verdict": "model-bound",
    },
    "machine": {"cores": 2},
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OF_KEYS = st.dictionaries(st.sampled_from([*FACTS, *FACTS["counts"], *FACTS["throughput"], "card", "classes"]), JSON)


def test_what_is_written_is_read_key_by_key(tmp_path):
    manifest = Manifest.from_json(FACTS)
    assert manifest.to_json() == FACTS
    assert json.dumps(manifest.to_json()) == json.dumps(FACTS)
    write_json(manifest_path(tmp_path / "preds.csv"), manifest.to_json())
    assert manifest_path(tmp_path / "preds.csv") == tmp_path / "preds.csv.json"
    assert json.loads((tmp_path / "preds.csv.json").read_text()) == FACTS
    assert read_manifest(tmp_path / "preds.csv") == (manifest, [])


def test_values_are_typed():
    manifest = Manifest.from_json(FACTS)
    assert (manifest.classes, manifest.rows, manifest.images_per_second) == (("a", "b"), 3, 255.5)
    assert manifest.model.sha256 == "12ab"
    assert (manifest.labels.source, manifest.labels.notes) == (None, ("none found",))
    assert manifest.throughput.stages == {"read": 0.5, "inference": 5.0}
    assert (manifest.throughput.steady_images_per_second, manifest.throughput.verdict) == (271.0, "model-bound")


def test_without_a_file_nothing_is_known(tmp_path):
    assert read_manifest(tmp_path / "preds.csv") == (Manifest(), [])
    assert (Manifest().classes, Manifest().rows, Manifest().images_per_second) == ((), None, None)


@pytest.mark.parametrize("speed", [0, -3, True, "9", None, float("nan"), float("inf"), 10**400, [1]])
def test_a_speed_that_cannot_be_is_not_known(speed):
    assert Manifest.from_json({"throughput": {"images_per_second": speed}}).images_per_second is None


def test_values_of_another_type_count_as_missing():
    odd = dict.fromkeys(FACTS, 1) | {"counts": {"total": True, "ok": 2.5, "errors": 1}, "model": {"card": []}}
    manifest = Manifest.from_json(odd)
    assert (manifest.images, manifest.started, manifest.device, manifest.throughput) == (None,) * 4
    assert (manifest.counts.total, manifest.counts.ok, manifest.counts.errors) == (None, None, 1)
    assert manifest.classes == ()


@pytest.mark.parametrize("classes", [[], ["a", "b", "a"], "ab", {"a": 1}])
def test_classes_that_cannot_tell_images_apart_make_no_manifest(tmp_path, classes):
    (tmp_path / "preds.csv.json").write_text(json.dumps({"model": {"card": {"classes": classes}}}))
    manifest, notes = read_manifest(tmp_path / "preds.csv")
    assert manifest == Manifest()
    assert "not a manifest of clsbench and is ignored" in notes[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", "\udcff"])
def test_a_file_that_cannot_be_parsed_is_ignored_with_a_note(tmp_path, text):
    (tmp_path / "preds.csv.json").write_text(text, encoding="utf-8", errors="surrogateescape")
    manifest, notes = read_manifest(tmp_path / "preds.csv")
    assert (manifest, len(notes)) == (Manifest(), 1)
    assert "is ignored" in notes[0]


@given(OF_KEYS, st.sampled_from(["model", "labels", "counts", "throughput"]), OF_KEYS)
def test_whatever_is_in_a_manifest_it_can_be_read_and_written_again(facts, key, inner):
    manifest = Manifest.from_json(facts | {key: inner})
    again = Manifest.from_json(json.loads(json.dumps(manifest.to_json())))
    assert json.dumps(again.to_json()) == json.dumps(manifest.to_json())
    assert manifest.images_per_second is None or manifest.images_per_second > 0
