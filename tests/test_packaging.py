import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
def installed(tmp_path_factory):
    """Both wheels, built and installed into a folder of their own."""
    folder = tmp_path_factory.mktemp("packaging")
    wheels, target = folder / "wheels", folder / "target"
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", wheels, ROOT, PLUGIN)
    pip("install", "--no-deps", "--no-index", "--target", target, *sorted(wheels.glob("*.whl")))
    return target


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
