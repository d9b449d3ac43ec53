import json
import os
import re
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from clsbench import __version__

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "plugins" / "clsbench-efficientnet-lite"

PROBE = """
import json
import clsbench
from clsbench import builtin
from clsbench.registry import Registry

registry = Registry(builtin)
found = registry.resolve("model", "efficientnet-lite/efficientnet-lite0")
print(json.dumps({
    "clsbench": clsbench.__file__,
    "plugin": found.plugin.module.__file__,
    "distribution": found.plugin.distribution,
    "broken": [str(plugin) for plugin in registry.broken()],
}))
"""


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheels of clsbench and of the plugin, as they would be published."""
    folder = tmp_path_factory.mktemp("wheels")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT, PLUGIN)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheels, tmp_path_factory):
    """Both wheels, installed into a folder of their own."""
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", target, *wheels)
    return target


def contents(wheel: Path) -> dict[str, bytes]:
    """Every file of a wheel, by its path in it."""
    with ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def metadata(files: dict[str, bytes]) -> Message:
    name = next(name for name in files if name.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(files[name].decode("utf-8"))


def test_the_registry_finds_a_plugin_that_came_as_a_wheel(installed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert Path(facts["clsbench"]).is_relative_to(installed)
    assert Path(facts["plugin"]).is_relative_to(installed)
    assert facts["distribution"] == "clsbench-efficientnet-lite"
    assert facts["broken"] == []


def test_the_wheels_hold_the_packages_and_nothing_beside_them(installed):
    tops = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert tops - {"bin", "__pycache__"} == {"clsbench", "clsbench_efficientnet_lite"}
    shipped = {str(path.relative_to(installed)) for path in (installed / "clsbench").rglob("*.py")}
    assert shipped == {str(path.relative_to(ROOT)) for path in (ROOT / "clsbench").rglob("*.py")}


def test_both_wheels_bring_their_types_and_their_licence(wheels):
    assert len(wheels) == 2
    for files in map(contents, wheels):
        package = next(name.split("/")[0] for name in files if name.endswith("/__init__.py"))
        assert files[f"{package}/py.typed"] == b""
        about = metadata(files)
        assert about["License-Expression"] == "Apache-2.0"
        assert about["License-File"] == "LICENSE"
        licence = next(text for name, text in files.items() if name.endswith(".dist-info/licenses/LICENSE"))
        assert licence == (ROOT / "LICENSE").read_bytes()
        assert about["Author"] == "clsbench developers"
        assert about["Description-Content-Type"] == "text/markdown"


def test_the_version_is_written_once(wheels):
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", __version__)
    (own,) = (wheel for wheel in wheels if wheel.name.startswith("clsbench-"))
    assert metadata(contents(own))["Version"] == __version__
    assert own.name.startswith(f"clsbench-{__version__}-")
    assert f"[{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_no_path_of_this_machine_is_in_a_wheel(wheels):
    places = {str(ROOT), sys.prefix, str(Path.home())} - {"/"}
    for wheel in wheels:
        for name, data in contents(wheel).items():
            assert not [place for place in places if place.encode() in data], name
