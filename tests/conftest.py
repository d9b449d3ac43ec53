"""Shared fixtures, all made in code."""

from __future__ import annotations

import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import hypothesis
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent

COLOURS = {"blue": (20, 30, 230), "green": (25, 210, 40), "red": (220, 30, 25)}


def pytest_configure(config: pytest.Config) -> None:
    """Tests share the cores: no example of hypothesis has a deadline, and no thread of torch spins while it waits."""
    hypothesis.settings.register_profile(
        "clsbench", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("clsbench")
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@dataclass(frozen=True)
class Finished:
    """What a command line left behind."""

    code: int
    stdout: str
    stderr: str


def picture(colour: str, *, size: tuple[int, int] = (24, 16), seed: int = 0) -> Image.Image:
    """A slightly noisy image of one colour; size is (width, height)."""
    noise = np.random.default_rng(seed).integers(-12, 13, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def fake_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """fake_distribution(name, source, plugin=…): install a module as a distribution offering a plugin."""
    made: list[str] = []

    def install(name: str, source: str, *, plugin: str | None = None, modules: dict[str, str] | None = None) -> Path:
        site, module = tmp_path / "site" / name, name.replace("-", "_")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        for file, text in {module: source, **(modules or {})}.items():
            (site / f"{file}.py").write_text(dedent(text), encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        entry = f"[clsbench]\n{plugin or name.removeprefix('clsbench-')} = {module}\n"
        (info / "entry_points.txt").write_text(entry, encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))
        made.append(module)
        return site

    yield install
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def only_plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """only_plugin("acme"): of all that is installed here, only this plugin is found."""
    from clsbench import registry

    found = registry.entry_points

    def keep(name: str) -> None:
        monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in found(group=group) if p.name == name])

    return keep


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with train/ and val/, a class folder a colour, PNG and JPEG."""
    root = tmp_path / "photos"
    for split, count in {"train": 4, "val": 2}.items():
        for colour in COLOURS:
            folder = root / split / colour
            folder.mkdir(parents=True)
            for k in range(count):
                suffix = "jpg" if k % 2 else "png"  # PNG has no quality
                picture(colour, size=(20 + 3 * k, 26 - 2 * k), seed=k).save(folder / f"{k}.{suffix}", quality=95)
    return root


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., Path]:
    """paint("photos/{colour}/{k}.png", 5): that many images of each colour, no two alike; returns the top folder."""

    def draw(
        pattern: str, count: int, *, first: int = 0, side: int = 16, colours: tuple[str, ...] = tuple(COLOURS)
    ) -> Path:
        for colour in colours:
            for k in range(first, first + count):
                file = tmp_path / pattern.format(colour=colour, k=k)
                file.parent.mkdir(parents=True, exist_ok=True)
                picture(colour, size=(side, side), seed=k).save(file)
        return tmp_path / Path(pattern).parts[0]

    return draw


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model made without torch: the mean of each channel is the logit of its colour."""
    from onnx import TensorProto, helper, numpy_helper, save

    from clsbench.card import METADATA_KEY, ModelCard, ModelSource
    from clsbench.transform import ImageTransform

    card = ModelCard(
        classes=("red", "green", "blue"),
        transform=ImageTransform(size=(8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        model=ModelSource("channel-means"),
    )
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["logits"], keepdims=0),
        ],
        "channel-means",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.array([1, 2]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: card.dumps()})
    file = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    save(model, file)
    return file


@pytest.fixture(scope="session")
def featured_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with features: mean and maximum of each channel; the means are the logits."""
    from onnx import TensorProto, helper, numpy_helper, save

    from clsbench.card import METADATA_KEY, ModelCard
    from clsbench.transform import ImageTransform

    transform = ImageTransform(size=(8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    card = ModelCard(classes=("red", "green", "blue"), transform=transform, feature_dim=6)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["means"], keepdims=0),
            helper.make_node("ReduceMax", ["float", "axes"], ["maxima"], keepdims=0),
            helper.make_node("Concat", ["means", "maxima"], ["features"], axis=1),
            helper.make_node("Gather", ["features", "first"], ["logits"], axis=1),
        ],
        "channel-statistics",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8, 8, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 6]),
        ],
        [numpy_helper.from_array(np.array([1, 2]), "axes"), numpy_helper.from_array(np.arange(3), "first")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: card.dumps()})
    file = tmp_path_factory.mktemp("featured") / "featured.onnx"
    save(model, file)
    return file


@pytest.fixture(scope="session")
def hymenoptera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ants and bees: 398 photos as train/ and val/ class folders."""
    archive = ROOT.parent / "shared" / "data" / "hymenoptera.tar"
    if not archive.is_file():
        pytest.skip(f"the ants and bees are not here: {archive}")
    folder = tmp_path_factory.mktemp("data")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / "hymenoptera"


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Finished]]:
    """cli("infer", folder, …): run a command line in this process, with an empty folder as the current one."""
    from clsbench.api.components import registry
    from clsbench.cli.main import execute

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.delenv("CLSBENCH_DEBUG", raising=False)
    registry.cache_clear()

    def run(*arguments: object) -> Finished:
        capsys.readouterr()
        code = execute([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    yield run
    registry.cache_clear()


@pytest.fixture
def refused(cli: Callable[..., Finished]) -> Callable[..., Finished]:
    """refused(code, words, *arguments): the command line ends so, explains itself, and shows no traceback."""

    def check(code: int, words: Iterable[str], *arguments: object) -> Finished:
        done = cli(*arguments)
        assert not [text for text in ("Traceback", "fault of clsbench") if text in done.stderr], done.stderr
        assert not [word for word in words if word not in done.stderr], done.stderr
        assert done.code == code, done.stderr
        return done

    return check


@pytest.fixture
def trained(cli: Callable[..., Finished]) -> Callable[..., dict[str, Any]]:
    """trained(folder, "--run", "mine", …): train without an error, and return what ``--json`` says."""

    def run(*arguments: object) -> dict[str, Any]:
        done = cli("train", *arguments, "--json", "train.json")
        assert done.code == 0, done.stderr
        facts: dict[str, Any] = json.loads(Path("train.json").read_text(encoding="utf-8"))
        return facts

    return run


@pytest.fixture
def without_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training draws no curves.png, which takes far longer than to train a tiny network."""
    monkeypatch.setattr("clsbench.training.training_run.save_plots", lambda *_, **__: None)
