"""README is run: every command line and every Python block, in order, section by section, on small images made here.

A command in a code block or in backticks is run, or reaches for the network, or is listed below with a reason.
"""

import contextlib
import re
import shlex
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

import clsbench
from tests.adopting.foreign_models import classifier

README = Path(__file__).parent.parent / "README.md"

#: Run up to the download of the weights, which fails here.
DOWNLOADS = {
    "clsbench train photos/ --model resnet18 --pretrained",
    "clsbench train photos/ --model resnet18 --pretrained --patience 3",
    "clsbench train photos/ --model resnet50 --pretrained --recipe frozen --head mlp:512,dropout=0.2 "
    "--val-fraction 0.2",
    "clsbench train faces/ --with data.attribute=smiling --model resnext101_32x8d --pretrained",
    "clsbench find-lr pets/ --dataset regex --model resnet34 --pretrained",
    "clsbench train pets/ --dataset regex --model resnet34 --pretrained --lr auto",
}

#: Not run, and why. A Python block is listed by its first line.
NOT_RUN = {
    "clsbench probe photos/ --models resnet18,mobilenet_v3_small,efficientnet-lite0 --plot which.png": "needs the "
    "network for weights; tests/cli/test_probe_command.py runs it with other models",
    "clsbench export --calibrate --abstain-at-precision 0.99": "18 photos are too few for it",
    "clsbench export first --precision fp32,int8": "measures for seconds; test_export_precision.py runs it",
    "clsbench infer test/ --model runs/first/model.int8.onnx --out quick.csv": "needs the file of the line above",
    "clsbench infer test/ --out bf16.csv --backend openvino:precision=bf16": "needs the plugin, which has its tests",
    "clsbench export --model openclip/ViT-B-32-quickgelu --with model.tag=openai --pretrained --classes cat,dog "
    "--out zero.onnx": "needs the plugin, whose tests do it with weights made there",
    "clsbench bench first --backends all --images test/ --plot pareto.png": "long; tests/api/test_bench.py does it",
    "make demo": "tests/cli/test_end_to_end.py runs the demo",
    "make test": "runs this test",
    "make PYTHON=python3.12 demo": "needs another interpreter",
    "source .venv/bin/activate": "for a shell",
    "pip install .[train]": "takes minutes; make setup does it",
    "pip install clsbench-0.1.0-py3-none-any.whl[train]": "needs a wheel; CONTRIBUTING says how one is checked",
    "clsbench --install-completion": "writes to the user's home",
    "clsbench COMMAND --help": "stands for every command; tests/test_startup.py runs them",
    "clsbench train photos/ --model efficientnet-lite0 --pretrained": "long; tests/test_real_photos.py does it",
}

#: Blocks that are neither commands nor code, by their first line.
TEXTS = {"clsbench/": "the tree of files"}

PROGRAMS = ("clsbench", "make", "pip", "python", "git", "source")


@dataclass(frozen=True)
class Step:
    """Something to run: a command line, or a block of ``python`` or ``toml``."""

    kind: str
    text: str
    line: int

    @property
    def name(self):
        """What the lists above call it: the words of a command without its comment, the first line of a block."""
        return " ".join(self.words) if self.kind == "command" else self.text.splitlines()[0]

    @property
    def words(self):
        return shlex.split(self.text, comments=True)


def blocks(lines):
    """(language, text, number of the first line) of fenced and of indented blocks; an indented one has no language."""
    k = 0
    while k < len(lines):
        start, language = k, ""
        if fence := re.match(r"```(\w*)", lines[k]):
            language = fence[1]
            k = next(end for end in range(k + 1, len(lines)) if lines[end].startswith("```"))
            yield language, "\n".join(lines[start + 1 : k]), start + 2
        elif lines[k].startswith("    ") and (k == 0 or not lines[k - 1].strip()):
            while k < len(lines) and (lines[k].startswith("    ") or not lines[k].strip()):
                k += 1
            yield "", "\n".join(line[4:] for line in lines[start:k]).rstrip(), start + 1
            continue
        k += 1


def steps(text):
    """What a Markdown text says to run, in its order.

    Raises:
        ValueError: for a block that holds neither commands nor code and is not listed.
    """
    found = []
    for language, block, line in blocks(text.splitlines()):
        first = block.split(maxsplit=1)[0] if block.strip() else ""
        if language in ("python", "toml"):
            found.append(Step(language, block, line))
            for k, comment in enumerate(block.splitlines() if language == "toml" else ()):
                if command := re.search(r"#.*?\b(clsbench [a-z].*)", comment):
                    found.append(Step("command", command[1], line + k))
        elif first not in TEXTS:
            for k, command in enumerate(block.replace("\\\n", " ").splitlines()):
                words = command.removeprefix("$ ").strip()
                if not words:
                    continue
                if words.partition(" ")[0] not in PROGRAMS:
                    raise ValueError(f"line {line + k} is no command, and its block is not listed: {command!r}")
                found.append(Step("command", words, line + k))
    prose = blank_blocks(text)
    for span in re.finditer(r"`([^`]+)`", prose):
        if span[1].partition(" ")[0] in PROGRAMS and " " in span[1]:
            found.append(Step("command", " ".join(span[1].split()), prose.count("\n", 0, span.start()) + 1))
    return sorted(found, key=lambda step: step.line)


def blank_blocks(text):
    """The text with its blocks emptied, so that a line keeps its number."""
    lines = text.splitlines()
    for language, block, line in blocks(list(lines)):
        for k in range(len(block.splitlines())):
            lines[line - 1 + k] = ""
        if language:
            lines[line - 2] = lines[line - 1 + len(block.splitlines())] = ""
    return "\n".join(lines)


def sections(text):
    """Title and steps of each section, by headings of the second level; the first has the title of the page."""
    starts, fenced = [(0, "clsbench")], False
    for k, line in enumerate(text.splitlines()):
        fenced ^= line.startswith("```")
        if line.startswith("## ") and not fenced:
            starts.append((k, line.removeprefix("## ")))
    found = steps(text)
    for (start, title), (end, _) in zip(starts, [*starts[1:], (10**9, "")], strict=True):
        yield title, [step for step in found if start < step.line <= end]


SECTIONS = {title: inside for title, inside in sections(README.read_text(encoding="utf-8")) if inside}


def paint(folder, names, count, *, side=24):
    """`count` noisy JPEGs for each name; {k} in a name is the number of the image, else it is a class folder."""
    random = np.random.default_rng(len(str(folder)))
    for index, name in enumerate(names):
        colour = np.roll((220, 120, 30), index)
        for k in range(count):
            file = folder / (name.format(k=k) if "{k}" in name else f"{name}/{k}.jpg")
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = colour + random.integers(-30, 31, (side, side, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """What a reader has: images under the names that README uses, an exported run, and predictions."""
    from clsbench.cli.main import execute

    folder = tmp_path_factory.mktemp("readme")
    kinds = ("ants", "bees", "flies")
    for name, count in {"photos": 6, "more-photos": 3, "test": 4}.items():
        paint(folder / name, kinds, count)
    paint(folder / "cifar10", kinds, 8, side=32)
    paint(folder / "pets", ("Abyssinian_{k}.jpg", "beagle_{k}.jpg"), 6)
    paint(folder / "faces", ("smiling/0", "smiling/1"), 5)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
        for command in (
            "train photos/ --with model.size=16 --epochs 3 --run first",
            "export --onnx",
            "infer test/ --out preds.csv --probabilities",
        ):
            assert execute(command.split()) == 0, command
        for name in ("a", "b", "fp32", "int8"):
            shutil.copy("preds.csv", f"{name}.csv")
            shutil.copy("preds.csv.json", f"{name}.csv.json")
        shutil.copy("runs/first/model.onnx", "model.onnx")
        shutil.copy("test/bees/0.jpg", "bee.jpg")
        images = sorted(str(file) for file in Path("test").rglob("*.jpg"))
        classifier(Path("theirs.onnx"), classes=1000)
        classifier(Path("nsfw.onnx"), layout="NHWC", classes=2, scores="softmax")
        Path("nsfw.txt").write_text("sfw\nnsfw\n", encoding="utf-8")
        Path("images.txt").write_text("\n".join(images) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Whoever reaches for the network is told that there is none."""

    def unreachable(*_, **__):
        raise URLError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / ".torch"))


@pytest.fixture
def run(cli, offline, prepared, tmp_path, fake_distribution):
    """run(step, namespace): in a folder with the prepared files; Python blocks of a section share a namespace."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)

    def forget_prepared(text):
        """Predictions that a step makes itself are not there before, where they come from the preparation."""
        for name in re.findall(r"""infer\b.*?out[= ]"?([\w.]+)""", text):
            for file in (name, f"{name}.json"):
                here, before = tmp_path / file, prepared / file
                if here.exists() and before.exists() and here.stat().st_mtime_ns == before.stat().st_mtime_ns:
                    here.unlink()

    def command(step):
        program, *arguments = step.words
        assert program == "clsbench", f"{step.name}: only clsbench is run here; list it in NOT_RUN with the reason"
        assert not {"|", ">", "&&", ";"} & set(arguments), f"{step.name}: no shell runs this"
        done = cli(*arguments)
        if step.name in DOWNLOADS:
            assert done.code == 1, done.stderr
            assert "no network in this test" in done.stderr
        else:
            assert done.code == 0, f"README.md:{step.line}: {step.name}\n{done.stdout}{done.stderr}"

    def block(step, namespace):
        if step.kind == "python":
            exec(compile("\n" * (step.line - 1) + step.text, str(README), "exec"), namespace)
            namespace["source"] = step.text
        else:
            points = tomllib.loads(step.text)["project"]["entry-points"]["clsbench"]
            for plugin, module in points.items():
                fake_distribution(module.replace("_", "-"), namespace["source"], plugin=plugin)

    def do(step, namespace):
        forget_prepared(step.text)
        command(step) if step.kind == "command" else block(step, namespace)

    return do


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_does_what_it_says(section, run):
    namespace = {"__name__": "readme"}
    for step in SECTIONS[section]:
        if step.name not in NOT_RUN:
            run(step, namespace)


def test_what_is_listed_is_in_readme():
    names = {step.name for inside in SECTIONS.values() for step in inside}
    assert not (DOWNLOADS | set(NOT_RUN)) - names
    assert not DOWNLOADS & set(NOT_RUN)
    firsts = {block.split(maxsplit=1)[0] for _, block, _ in blocks(README.read_text(encoding="utf-8").splitlines())}
    assert set(TEXTS) <= firsts


def test_every_public_name_is_in_readme():
    text = README.read_text(encoding="utf-8")
    names = [name for name in clsbench.__all__ if not name.startswith("__")]
    assert not [name for name in names if not re.search(rf"\b{name}\b", text)]


PAGE = """# A page

Say `clsbench infer --out
x.csv` or `clsbench`, and `--topk`.

## First

    clsbench train photos/   # a comment
    clsbench export \\
        --onnx

    clsbench models

```python
# clsbench is no command here
## nor a heading
x = 1
```

```bash
$ make demo
```

## Second

    clsbench/
      cli/   a tree

```toml
[project.entry-points.clsbench]
acme = "clsbench_acme"   # then: clsbench models
```
"""


def test_every_command_of_a_page_is_found():
    found = {title: [(step.kind, step.name) for step in inside] for title, inside in sections(PAGE)}
    assert found == {
        "clsbench": [("command", "clsbench infer --out x.csv")],
        "First": [
            ("command", "clsbench train photos/"),
            ("command", "clsbench export --onnx"),
            ("command", "clsbench models"),
            ("python", "# clsbench is no command here"),
            ("command", "make demo"),
        ],
        "Second": [("toml", "[project.entry-points.clsbench]"), ("command", "clsbench models")],
    }


@pytest.mark.parametrize("block", ["    curl something", "```\nwhat a command prints\n```", "```bash\nexport A=1\n```"])
def test_a_line_that_is_no_known_command_is_refused(block):
    with pytest.raises(ValueError, match="is no command"):
        steps(f"# A page\n\n{block}\n")
