from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.evaluation.judging import Evaluation, ImageCounts
from clsbench.evaluation.report.provenance import provenance, speed
from clsbench.predictions.manifest import Manifest
from clsbench.predictions.metric import Metrics

THROUGHPUT = {
    "images_per_second": 255.34,
    "steady_images_per_second": 271.9,
    "limit": 301.2,
    "fraction_of_limit": 0.9027,
    "seconds": 39.21,
    "core_ms_per_image": {"read": 1},
    "read_ms_per_image": 0.5,
    "inference_ms_per_image": 5.0,
    "verdict": "model-bound: …",
}


def evaluation(**manifest):
    """Of two classes, with this manifest."""
    counts = ImageCounts(0, 0, 0, 0, 0)
    return Evaluation(
        file=Path("p.csv"),
        classes=("a", "b"),
        counts=counts,
        metrics=Metrics(),
        manifest=Manifest.from_json(manifest),
        clsbench="0.1.0",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_throughput_is_written_as_infer_writes_it():
    found = speed(evaluation(throughput=THROUGHPUT))
    assert found.rows == [
        ("images/s overall", "255.3"),
        ("images/s in steady state", "271.9"),
        ("limit, images/s", "301.2"),
        ("of the limit", "90.27%"),
        ("seconds", "39.2"),
    ]
    assert [(stage.name, stage.text, stage.part) for stage in found.stages] == [
        ("read", "0.50", pytest.approx(10)),
        ("inference", "5.00", 100),
    ]
    assert found.verdict == "model-bound: …"
    assert speed(evaluation(throughput=None)) is None
    assert speed(evaluation()) is None


def test_provenance_tells_model_device_and_files():
    card = {
        "model": {"name": "resnet18"},
        "precision": "int8",
        "transform": {"size": [8, 8], "exif": True},
        "parity": {},
    }
    manifest = {
        "images": "/photos", "model": {"file": "m.onnx", "sha256": "12ab", "card": card},
        "device": {"device": "cpu", "indices": []}, "started": "2026-11-20", "clsbench": "0.0.9",
        "labels": {"source": "folders"}, "options": {"batch": 8},
    }  # fmt: skip
    (model, rows), (predictions, more) = provenance(evaluation(**manifest))
    assert (model, predictions) == ("Model", "Predictions")
    assert dict(rows) == {
        "file": "m.onnx",
        "SHA-256": "12ab",
        "network": "name resnet18",
        "classes": "2",
        "precision": "int8",
        "preprocessing": "size 8, 8 · exif yes",
    }
    assert dict(more) == {
        "file": "p.csv",
        "images": "/photos",
        "started": "2026-11-20",
        "device": "device cpu",
        "options": "batch 8",
        "labels": "folders",
        "made by clsbench": "0.0.9",
        "evaluated by clsbench": "0.1.0",
    }


@given(
    model=JSON, device=JSON, throughput=JSON | st.dictionaries(st.sampled_from(list(THROUGHPUT)), JSON), manifest=JSON
)
def test_whatever_stands_in_a_manifest_it_is_bounded_text(model, device, throughput, manifest):
    more = manifest if isinstance(manifest, dict) else {}
    given = evaluation(**{**more, "model": model, "device": device, "throughput": throughput})
    found = speed(given)
    texts = [text for row in (found.rows if found else ()) for text in row]
    for title, rows in provenance(given):
        texts += [title, *(text for row in rows for text in row)]
    assert all(isinstance(text, str) and len(text) <= 700 for text in texts)
