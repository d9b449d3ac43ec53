import shutil

import fsspec
import pytest

from clsbench import builtin
from clsbench.datasets.torchvision_sets import SETS
from clsbench.hookspecs import HOOKS
from clsbench.images.entries import FileEntry
from clsbench.testing import check_executor, plugin_checks, run_checks

#: Networks have tests of their own; the names alone are looked at here.
COMPONENTS = {kind: list(getattr(builtin, hook)()) for kind, hook in HOOKS.items() if hasattr(builtin, hook)}


def each(kind):
    return pytest.mark.parametrize("component", COMPONENTS[kind], ids=lambda component: component.name)


@pytest.mark.parametrize("kind", COMPONENTS)
def test_names_are_unique_and_every_hook_has_two_implementations(kind):
    names = [component.name for component in COMPONENTS[kind]]
    assert len(set(names)) == len(names) >= 2
    assert all(component.summary for component in COMPONENTS[kind])


#: What needs nothing from here, check by check. Networks have tests of their own, with the gate.
CHECKS = plugin_checks("clsbench", "decoder", "backend", "executor", "writer", "metric")


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_plugin(check):
    check()


def keeps_every_rule(component, **options):
    """The rules that a component does not keep, with the reasons; all have to be tried."""
    checks = [c for c in plugin_checks("clsbench", component, options={component: options}) if c.subject.kind]
    return {one.check.rule.name: one.reason for one in run_checks(checks) if one.status != "passed"}


@pytest.mark.parametrize("name", [component.name for component in COMPONENTS["dataset"]])
def test_datasets(name, photos):
    if name in SETS:
        pytest.skip("torchvision's sets have tests of their own, with files of theirs")
    rows = [f"{file.relative_to(photos).as_posix()},{file.parent.name}" for file in photos.glob("*/*/*.*")]
    (photos / "table.csv").write_text("\n".join(["path,label", *rows]))
    options = {"pattern": r"/(\w+)/\d\.\w+$"} if name == "regex" else {}
    broken = keeps_every_rule(f"dataset/{name}", root=None if name == "digits" else photos, **options)
    assert broken == ({"a-missing-root-is-explained": "the root is no path"} if name == "digits" else {})


@pytest.mark.parametrize("name", [component.name for component in COMPONENTS["source"]])
def test_sources(name, photos, tmp_path):
    (tmp_path / "list.txt").write_text("photos/val/red/0.png\n")
    files = fsspec.filesystem("memory")
    files.pipe("/shelf/0.png", (photos / "val/red/0.png").read_bytes())
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    places = {"folder": photos, "list": tmp_path / "list.txt", "archive": archive, "remote": "memory://shelf"}
    broken = keeps_every_rule(f"source/{name}", location=str(places[name]))
    assert broken.keys() == ({"opens-the-location"} if name == "folder" else set()), broken
    files.rm("/shelf", recursive=True)


@each("executor")
@pytest.mark.parametrize("model", ["tiny_onnx", "featured_onnx"])
def test_executors(component, model, photos, request):
    (photos / "broken.jpg").write_bytes(b"not an image")
    files = [photos / "broken.jpg", *sorted(photos.rglob("*.*"))]
    check_executor(
        component, request.getfixturevalue(model), [FileEntry(str(k), str(file)) for k, file in enumerate(files)]
    )


def test_a_listing_has_a_line_for_each_kind_of_component(cli):
    lines = cli("plugins", "list").stdout.splitlines()
    assert any("model: simple-cnn" in line for line in lines)
    assert not any("model:" in line and "dataset:" in line for line in lines)
