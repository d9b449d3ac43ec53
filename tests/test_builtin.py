import io
import shutil

import fsspec
import numpy as np
import pytest
from PIL import Image

from clsbench import builtin
from clsbench.datasets.torchvision_sets import SETS
from clsbench.hookspecs import HOOKS
from clsbench.images.entries import FileEntry
from clsbench.testing import (
    check_dataset,
    check_decoder,
    check_executor,
    check_metric,
    check_options_are_keywords,
    check_source,
    check_writer,
)

#: Networks have tests of their own; the names alone are looked at here.
COMPONENTS = {kind: list(getattr(builtin, hook)()) for kind, hook in HOOKS.items() if hasattr(builtin, hook)}


def each(kind):
    return pytest.mark.parametrize("component", COMPONENTS[kind], ids=lambda component: component.name)


@pytest.mark.parametrize("kind", COMPONENTS)
def test_names_are_unique_and_every_hook_has_two_implementations(kind):
    names = [component.name for component in COMPONENTS[kind]]
    assert len(set(names)) == len(names) >= 2
    assert all(component.summary for component in COMPONENTS[kind])


@pytest.mark.parametrize("kind", COMPONENTS)
def test_every_component_can_be_built_from_its_name_alone(kind):
    for component in COMPONENTS[kind]:
        check_options_are_keywords(component)


@each("dataset")
def test_datasets(component, photos):
    if component.name in SETS:
        pytest.skip("torchvision's sets have tests of their own, with files of theirs")
    rows = [f"{file.relative_to(photos).as_posix()},{file.parent.name}" for file in photos.glob("*/*/*.*")]
    (photos / "table.csv").write_text("\n".join(["path,label", *rows]))
    options = {"pattern": r"/(\w+)/\d\.\w+$"} if component.name == "regex" else {}
    check_dataset(component, None if component.name == "digits" else photos, **options)


@each("source")
def test_sources(component, photos, tmp_path):
    (tmp_path / "list.txt").write_text("photos/val/red/0.png\n")
    files = fsspec.filesystem("memory")
    files.pipe("/shelf/0.png", (photos / "val/red/0.png").read_bytes())
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    places = {"folder": photos, "list": tmp_path / "list.txt", "archive": archive, "remote": "memory://shelf"}
    check_source(component, str(places[component.name]))
    files.rm("/shelf", recursive=True)


@each("decoder")
def test_decoders(component):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)).save(file, "JPEG")
    check_decoder(component, file.getvalue(), np.asarray(Image.open(file)))


@each("executor")
@pytest.mark.parametrize("model", ["tiny_onnx", "featured_onnx"])
def test_executors(component, model, photos, request):
    (photos / "broken.jpg").write_bytes(b"not an image")
    files = [photos / "broken.jpg", *sorted(photos.rglob("*.*"))]
    check_executor(
        component, request.getfixturevalue(model), [FileEntry(str(k), str(file)) for k, file in enumerate(files)]
    )


@each("writer")
def test_writers(component, tmp_path):
    check_writer(component, tmp_path / f"predictions.{component.name}")


@each("metric")
def test_metrics(component):
    check_metric(component)


def test_a_listing_has_a_line_for_each_kind_of_component(cli):
    lines = cli("plugins", "list").stdout.splitlines()
    assert any("model: simple-cnn" in line for line in lines)
    assert not any("model:" in line and "dataset:" in line for line in lines)
