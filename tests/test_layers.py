import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "clsbench").rglob("*.py"))


def test_arrows_point_down_only():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_one_idea(module):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 300
    assert module.name != "utils.py"


def test_only_the_registry_reads_entry_points():
    readers = [
        path.name for path in MODULES if "import EntryPoint" in path.read_text() or "entry_points(" in path.read_text()
    ]
    assert readers == ["registry.py"]


def test_only_the_command_line_prints_or_exits():
    words = ("print(", "sys.exit(", "import typer")
    for path in MODULES:
        if path.parent.name != "cli":
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
            assert not [line for line in lines if line.startswith(words)], path
