import csv
import os
import shutil
import subprocess
import sys
from textwrap import dedent

import pytest

HEAVY = {"torch", "torchvision", "onnxruntime", "onnx", "numpy", "PIL", "rich", "sklearn", "matplotlib", "pyarrow"}
COMMANDS = ["train", "find-lr", "probe", "show", "runs", "datasets", "export", "infer"]


def fresh(code, *arguments, cwd):
    """Run code in a fresh interpreter; sys.argv[1:] are the arguments."""
    environment = {k: v for k, v in os.environ.items() if k != "CLSBENCH_DEBUG"} | {"COLUMNS": "200"}
    command = [sys.executable, "-c", dedent(code), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


LOADED = """
    import sys
    from clsbench.cli.main import execute
    code = execute(sys.argv[1:])
    print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}))
    sys.exit(code)
"""


def loaded(done):
    return set(done.stdout.rpartition("loaded: ")[2].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)])
def test_help_loads_nothing_heavy_and_no_plugin(arguments, tmp_path):
    done = fresh(LOADED, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "clsbench" in loaded(done)
    assert not loaded(done) & (HEAVY | {"clsbench_efficientnet_lite"})


@pytest.mark.parametrize("name", ["clsbench", "clsbench.hookspecs", "clsbench.registry", "clsbench.builtin"])
def test_importing_what_plugins_and_the_registry_need_loads_nothing_heavy(name, tmp_path):
    done = fresh(f"import sys, {name}\nprint('loaded:', *{{m.split('.')[0] for m in sys.modules}})", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not loaded(done) & HEAVY


ABSENT = """
    import sys
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("torch", "torchvision", "clsbench_efficientnet_lite"):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Absent())
"""
# scipy, below scikit-learn's metrics, reads sys.modules["torch"] and cannot bear None there: no labels.
NONE = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None"


@pytest.mark.parametrize(("without_torch", "labels"), [(ABSENT, []), (NONE, ["--labels", "none"])])
def test_infer_needs_the_file_and_nothing_else(tiny_onnx, photos, tmp_path, without_torch, labels):
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(tiny_onnx, empty / "model.onnx")
    code = dedent(without_torch) + dedent("""
        from clsbench.cli.main import execute
        sys.exit(execute(sys.argv[1:]))
    """)
    arguments = ["infer", photos / "val", "--model", "model.onnx", "--device", "cpu", "--out", "preds.csv", *labels]
    done = fresh(code, *arguments, cwd=empty)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((empty / "preds.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["path"] for row in rows] == sorted(
        f"{c}/{f}" for c in ("red", "green", "blue") for f in ("0.png", "1.jpg")
    )
    assert all(row["predicted"] == row["path"].split("/")[0] for row in rows)
    assert ("6 of 6 correct" in done.stdout) == (not labels)


@pytest.mark.parametrize("command", ["train", "find-lr"])
@pytest.mark.parametrize("pair", ["model.widht=3", "model.width=wide", "widht=3", "modle.width=3"])
def test_a_wrong_option_is_refused_before_torch_is_imported(command, pair, photos, tmp_path):
    done = fresh(LOADED, command, photos, "--with", pair, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert pair in done.stderr
    assert not loaded(done) & {"torch", "torchvision"}
    assert not (tmp_path / "runs").exists()


FIRST_LOOK = """
    import os, sys
    class Watching:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in ("torch", "torchvision"):
                print("torch is looked for with", os.environ.get("OMP_WAIT_POLICY"))
                os._exit(0)
    os.environ.pop("OMP_WAIT_POLICY", None)
    sys.meta_path.insert(0, Watching())
    from clsbench.cli.main import execute
    execute(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "arguments", [["train"], ["train", "--model", "resnet18"], ["find-lr"], ["probe", "--models", "resnet18"]]
)
def test_how_threads_wait_is_decided_before_torch_is_loaded(arguments, tmp_path):
    done = fresh(FIRST_LOOK, *arguments, cwd=tmp_path)
    assert "torch is looked for with PASSIVE" in done.stdout + done.stderr


PLUGIN = """
import pathlib
pathlib.Path(__file__).with_suffix(".loaded").touch()
from clsbench import Component, hookimpl

@hookimpl
def register_metrics():
    yield Component("{name}", lambda: len)
"""


@pytest.fixture
def ten_plugins(tmp_path, monkeypatch):
    """Ten distributions, one of them broken and one that imports torch; a function that says which were loaded."""
    site = tmp_path / "site"
    for k in range(10):
        info = site / f"clsbench_p{k}-1.0.dist-info"
        info.mkdir(parents=True)
        more = {3: "1 / 0\n", 7: "import torch\n"}.get(k, "")
        (site / f"clsbench_p{k}.py").write_text(PLUGIN.format(name=f"m{k}") + more, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: clsbench-p{k}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[clsbench]\np{k} = clsbench_p{k}\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    return lambda: sorted(file.stem for file in site.glob("*.loaded"))


def test_with_ten_plugins_nobody_loads_one_who_does_not_name_it(ten_plugins, tiny_onnx, photos, tmp_path):
    done = fresh(LOADED, "--help", cwd=tmp_path)
    assert (done.returncode, ten_plugins()) == (0, []), done.stderr
    arguments = ["infer", photos / "val", "--model", tiny_onnx, "--device", "cpu", "--out", "preds.csv"]
    done = fresh(LOADED, *arguments, cwd=tmp_path)
    assert (done.returncode, ten_plugins()) == (0, []), done.stderr
    assert "torch" not in loaded(done)
    done = fresh(LOADED, "train", "--model", "p5/tiny", cwd=tmp_path)
    assert (done.returncode, ten_plugins()) == (2, ["clsbench_p5"]), done.stderr


def test_with_ten_plugins_the_broken_one_is_named_where_it_matters(ten_plugins, tmp_path):
    done = fresh(LOADED, "train", "--model", "tiny-net", cwd=tmp_path)
    assert done.returncode == 2
    assert "p3 (clsbench-p3 1.0) is broken: ZeroDivisionError" in done.stderr
    assert len(ten_plugins()) == 10
