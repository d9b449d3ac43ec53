"""Completion by the shells' own protocol: the program is started with the words typed so far, and prints what fits."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from clsbench import builtin
from clsbench.api.completion import BUILTIN, names
from clsbench.hookspecs import HOOKS

HEAVY = {"torch", "torchvision", "numpy", "PIL", "rich", "onnxruntime", "sklearn", "clsbench_acme"}

CODE = """
import atexit, sys
atexit.register(lambda: print("loaded:", *{name.split(".")[0] for name in sys.modules}, file=sys.stderr))
from clsbench.cli.main import run
run()
"""

PLUGIN = """
    from clsbench import Component, hookimpl

    @hookimpl
    def register_models():
        yield Component("acme-tiny", lambda num_classes, *, pretrained=False: None, "tiny")
"""


@pytest.fixture
def complete(tmp_path):
    """complete("train --model res"): what bash is offered, from a fresh program that loads nothing heavy."""

    def run(line, *, installed=True):
        path = [p for p in sys.path if installed or not Path(p).is_relative_to(tmp_path)]
        words = f"clsbench {line}"
        environment = {
            **os.environ, "_CLSBENCH_COMPLETE": "complete_bash", "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
            "XDG_CACHE_HOME": str(tmp_path / ".cache"),
            "PYTHONPATH": os.pathsep.join(path),
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert not HEAVY & set(done.stderr.rpartition("loaded: ")[2].split()), done.stderr
        return done.stdout.split()

    return run


@pytest.mark.parametrize("kind", ["dataset", "metric"])
def test_the_built_in_names_are_those_of_the_built_in_plugin(kind):
    assert list(BUILTIN[kind]) == [component.name for component in getattr(builtin, HOOKS[kind])()]


def test_the_built_in_models_are_those_of_the_built_in_plugin(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert names("model") == [component.name for component in builtin.register_models()]


def test_without_torchvision_there_are_the_other_models(tmp_path, monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("clsbench.models.zoo_table.version", absent)
    assert names("model") == ["simple-cnn"]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("train --model resnet1", ["resnet101", "resnet152", "resnet18"]),
        ("models simp", ["simple-cnn"]),
        ("find-lr --dataset f", ["folder", "fashion-mnist", "flowers102", "food101"]),
        ("evaluate preds.csv --metric c", ["coverage", "confusion"]),
        ("export --model vgg11", ["vgg11", "vgg11_bn"]),
        ("train --recipe f", ["fine-tune", "frozen"]),
        ("runs ", ["diff", "rm"]),
        ("infer --model ", []),  # files: the shell's own completion
    ],
)
def test_names_are_completed_without_loading_anything_heavy(complete, line, wanted):
    assert sorted(complete(line)) == sorted(wanted)


@pytest.mark.parametrize(
    "line", ["export ", "show --run ", "datasets --run ", "train --weights ", "runs diff a ", "runs rm "]
)
def test_runs_are_completed(complete, tmp_path, line):
    for name in ("first", "second", "no-run", "steers\x1bthe-terminal"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        if name != "no-run":
            (tmp_path / "runs" / name / "run.json").touch()
    (tmp_path / "runs" / "latest").symlink_to("second")
    assert complete(line) == ["first", "latest", "second"]


def test_a_plugins_names_are_completed_once_they_were_listed_and_without_loading_it(complete, cli, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)
    assert complete("train --model acme") == []
    assert cli("models").code == 0
    assert complete("train --model acme") == ["acme-tiny"]
    assert complete("train --model acme", installed=False) == []


@pytest.mark.parametrize("text", ["", "[]", '{"plugins": {"acme": 3}}'])
def test_a_damaged_cache_completes_what_is_built_in(complete, tmp_path, text):
    cache = Path(tmp_path / ".cache" / "clsbench" / "names.json")
    cache.parent.mkdir(parents=True)
    cache.write_text(text, encoding="utf-8")
    assert complete("models simp") == ["simple-cnn"]


def test_a_cache_that_cannot_be_written_does_not_stop_a_listing(cli, fake_distribution, tmp_path, monkeypatch):
    fake_distribution("clsbench-acme", PLUGIN)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    (tmp_path / ".cache" / "clsbench" / "names.json").mkdir(parents=True)
    assert "acme-tiny" in cli("models", "--match", "acme").stdout
