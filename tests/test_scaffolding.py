"""`plugins new`: what it writes is linted, installed and tested as an author would."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import clsbench
from clsbench.errors import OptionError
from clsbench.hookspecs import HOOKS
from clsbench.scaffolding.distribution import KINDS, names_of

ROOT = Path(__file__).parent.parent


def run(*arguments, cwd, **environment):
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    return clsbench.new_plugin("acme-hats", kinds=KINDS, out=folder / "clsbench-acme-hats")


@pytest.fixture(scope="module")
def installed(made, tmp_path_factory):
    """Installed as pip does it, into a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    run("pip", "install", *options, "--target", target, made.folder, cwd=ROOT)
    return {"PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])}


def test_it_offers_every_kind(made):
    assert tuple(HOOKS) == KINDS
    assert {f"src/clsbench_acme_hats/{kind}.py" for kind in KINDS} < {file.as_posix() for file in made.files}


def test_it_is_clean_python(made):
    run("ruff", "check", "--isolated", "--select", "E,F,W,I,B,UP,SIM,RUF", "--line-length", "120", ".", cwd=made.folder)
    run("ruff", "format", "--isolated", "--line-length", "120", "--check", ".", cwd=made.folder)


def test_it_imports_clsbench_and_its_kit_only(made):
    for file in (made.folder / "src").rglob("*.py"):
        for line in file.read_text().splitlines():
            if line.strip().startswith(("from clsbench", "import clsbench")):
                assert line.split()[1] in ("clsbench", "clsbench.testing", "clsbench_acme_hats"), line


def test_it_is_found_once_it_is_installed(installed, tmp_path):
    listed = json.loads(run("clsbench", "plugins", "list", "--json", "-", cwd=tmp_path, **installed))
    (found,) = (plugin for plugin in listed["plugins"] if plugin["name"] == "acme-hats")
    offered = {kind: ["hats" if kind == "writer" else "acme-hats"] for kind in KINDS}
    assert (found["components"], found["error"], found["imports_torch"]) == (offered, None, False)


def test_it_passes_its_tests(made, installed):
    # The export of such a network is tested elsewhere, and takes as long as all others.
    name = "tests/test_clsbench_acme_hats.py::test_plugin[model/acme-hats:export-passes-the-gate]"
    shown = run("pytest", "-q", "-rs", "-p", "no:cacheprovider", "--deselect", name, cwd=made.folder, **installed)
    assert " passed" in shown
    reasons = [line for line in shown.splitlines() if line.startswith("SKIPPED")]
    assert len(reasons) == 1, reasons
    assert "decodes one image at a time" in reasons[0]


def test_the_metadata_name_the_entry_point_and_leave_the_licence_open(made):
    project = tomllib.loads((made.folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["clsbench"] == {"acme-hats": "clsbench_acme_hats"}
    assert "license" not in project
    assert project["dependencies"][0].startswith("clsbench[train]")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_alone_is_clean_and_loads(cli, kind):
    done = cli("plugins", "new", "hats", "--kind", kind, "--out", "mine", "--json", "-")
    assert done.code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["distribution"], facts["package"]) == ("clsbench-hats", "clsbench_hats")
    run("ruff", "check", "--isolated", "--select", "E,F,I", "--line-length", "120", ".", cwd="mine")
    code = f"import clsbench_hats as p; print([c.name for c in p.register_{kind}s()])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(["mine/src", str(ROOT)])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "['hats']"


def test_nothing_is_overwritten(refused):
    Path("clsbench-hats").mkdir()
    Path("clsbench-hats/notes.txt").write_text("mine")
    refused(1, ["there is something already", "--out"], "plugins", "new", "hats")
    assert [file.name for file in Path("clsbench-hats").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["", "a b", "-x", "Hats", "a_b", "a--b", "1st", "../up", "clsbench", "ü", "a/b"])
def test_names_that_pip_or_python_cannot_take_are_refused(name):
    with pytest.raises(OptionError, match="cannot be called that"):
        names_of(name)


def test_near_names_are_offered():
    with pytest.raises(OptionError) as caught:
        names_of("Acme_Hats")
    assert caught.value.facts["to do"] == "did you mean acme-hats?"
    assert names_of("clsbench-acme").plugin == "acme"


def test_a_name_that_is_taken_and_a_kind_that_there_is_not_are_refused(refused, fake_distribution):
    fake_distribution("clsbench-acme", "")
    refused(2, ["installed already", "acme"], "plugins", "new", "acme")
    refused(2, ["no such kind", "got: hook", "expected: model, dataset"], "plugins", "new", "hats", "--kind", "hook")
