"""Every task once from Python: a typed result that says what the command line's ``--json`` says, and silence."""

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import clsbench
from clsbench import ClsbenchError, DataError, ModelError, OptionError
from tests.conftest import COLOURS, picture

TINY = {"model.size": 16, "model.channels": 4, "model.width": 8}
TRAINING = {"epochs": 1, "batch_size": 8, "augment": "none", "device": "cpu", "val_fraction": 0.25}
FLAGS = ("--epochs", 1, "--batch-size", 8, "--augment", "none", "--device", "cpu", "--val-fraction", 0.25,
         *(part for key, value in TINY.items() for part in ("--with", f"{key}={value}")))  # fmt: skip

#: What differs between two runs of the same task: times, and what follows from them.
TIMES = {"seconds", "elapsed", "started", "throughput", "time", "images_per_second", "waited"}


class Ears(clsbench.Observer):
    """Remembers what it hears."""

    def __init__(self):
        self.notes, self.warnings, self.stages, self.done, self.epochs, self.batches = [], [], [], 0, [], []

    def note(self, text):
        self.notes.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def stage(self, name, total=None):
        self.stages.append((name, total))

    def batch(self, result):
        self.batches.append(result)

    def advance(self, count, errors=0):
        self.done += count

    def epoch(self, result):
        self.epochs.append(result)


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture(autouse=True)
def silent(capsys):
    """Python functions print nothing to stdout."""
    yield
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with images of three colours, a run on them, its model, and predictions of it with probabilities."""
    folder = tmp_path_factory.mktemp("work")
    for colour in COLOURS:
        (folder / "photos" / colour).mkdir(parents=True)
        for k in range(8):
            picture(colour, size=(16, 16), seed=k).save(folder / "photos" / colour / f"{k}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
        patch.setattr("clsbench.training.training_run.save_plots", lambda *_, **__: None)
        clsbench.train("photos", run="first", options=TINY, **TRAINING)
        clsbench.export("first")
        for name in ("a", "b"):
            clsbench.infer("photos", model="runs/first/model.onnx", device="cpu", probabilities=True, out=f"{name}.csv")
        rows = Path("b.csv").read_text(encoding="utf-8").splitlines()
        head = rows[0].split(",")
        at, wrong = head.index("predicted"), rows[1].split(",")
        wrong[at] = next(colour for colour in COLOURS if colour != wrong[head.index("label")])
        Path("b.csv").write_text("\n".join([rows[0], ",".join(wrong), *rows[2:]]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def facts_of(cli, capsys):
    """facts_of("infer", …): what a command line writes with --json, in the folder of the work."""

    def run(*arguments, code=0):
        assert capsys.readouterr().out == ""  # of what was called before
        done = cli(*arguments, "--json", "facts.json")
        assert done.code == code, done.stderr
        return json.loads(Path("facts.json").read_text(encoding="utf-8"))

    return run


@pytest.fixture(autouse=True)
def here(cli, work, monkeypatch):
    """The folder of the work is the current one."""
    monkeypatch.chdir(work)


def timeless(value):
    """JSON without times."""
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key not in TIMES}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def same(result, facts):
    told = json.loads(json.dumps(result.to_json()))
    assert timeless(told) == timeless(facts)
    assert list(told) == list(facts)


def test_train(ears, facts_of, without_curves):
    result = clsbench.train("photos", run="python", options=TINY, observer=ears, **TRAINING)
    assert (result.run.name, result.record.classes) == ("python", tuple(COLOURS))
    assert [epoch.epoch for epoch in result.history] == [1]
    assert result.to_arrow().column("epoch").to_pylist() == [1]
    assert [epoch.epoch for epoch in ears.epochs] == [1]
    assert any("photos: 3 classes" in note for note in ears.notes)
    assert ears.stages
    assert ears.done > 0
    facts = facts_of("train", "photos", "--run", "shell", *FLAGS)
    assert [facts.pop("run"), result.to_json()["run"]] == [os.path.join("runs", name) for name in ("shell", "python")]
    told = json.loads(json.dumps(result.to_json()))
    told.pop("run")
    assert timeless(told) == timeless(facts)


def test_train_takes_size_share_limit_and_rates_and_tells_its_plan(ears, without_curves):
    options = {"model.channels": 4, "model.width": 8}
    result = clsbench.train(
        "photos", size=12, data_fraction=0.5, options=options, observer=ears, epochs=9, batch_size=1, lr=(1e-4, 1e-2),
        max_time="0.001s", log_every=1, augment="none", device="cpu",
    )  # fmt: skip
    assert (result.record.transform.size, result.record.status) == ((12, 12), "stopped")
    assert result.record.split["data_fraction"] == 0.5
    assert result.record.stages[0].rates == pytest.approx({"0": 1e-4, "4": 1e-3, "head": 1e-2})
    assert [(line.epoch, line.batch) for line in ears.batches] == [(1, 1)]
    assert any(note.startswith("Training clsbench/simple-cnn on cpu, recipe scratch") for note in ears.notes)
    assert any("time limit 0.001 s" in note for note in ears.notes)


def test_options_are_a_mapping_or_a_list(without_curves):
    listed = [f"{key}={value}" for key, value in TINY.items()]
    found = [
        clsbench.train("photos", run=f"options{k}", options=options, **TRAINING).record.model.options
        for k, options in enumerate((TINY, listed))
    ]
    assert found == [{"size": 16, "channels": 4, "width": 8}] * 2


def test_find_lr(ears, facts_of):
    found = clsbench.find_lr(
        "photos", steps=20, options=TINY, observer=ears, batch_size=8, augment="none", device="cpu", val_fraction=0.25
    )
    assert found.valley > 0
    assert ears.stages
    flags = [*FLAGS[2:8], *FLAGS[8:]]
    facts = facts_of("find-lr", "photos", "--steps", 20, "--out", "curve.png", *flags)
    assert facts.pop("curve") == "curve.png"
    same(found, facts)


def test_export(ears, facts_of):
    result = clsbench.export("first", out="again.onnx", observer=ears)
    assert result.file == Path("again.onnx")
    assert result.report.passed
    assert result.card.classes == tuple(COLOURS)
    assert any("comparing" in note for note in ears.notes)
    same(result, facts_of("export", "first", "--out", "again.onnx"))


def test_infer_without_a_file(ears, facts_of):
    result = clsbench.infer("photos", model="runs/first/model.onnx", device="cpu", topk=2, observer=ears)
    assert (result.counts.total, result.counts.errors, result.out) == (24, 0, None)
    table = result.to_arrow()
    assert table.num_rows == 24
    assert {"path", "label", "predicted", "confidence", "top1", "top2"} <= set(table.column_names)
    assert (ears.stages[-1], ears.done) == (("images", 24), 24)
    facts = facts_of("infer", "photos", "--model", "runs/first/model.onnx", "--device", "cpu", "--topk", 2)
    same(result, facts)


def test_infer_writes_the_file_of_the_command_line(ears, facts_of):
    result = clsbench.infer(
        Path("photos"), model=Path("runs/first/model.onnx"), device="cpu", out="py.csv", probabilities=True,
        metrics=["averages"], observer=ears,
    )  # fmt: skip
    written = Path("py.csv").read_bytes()
    assert result.out == Path("py.csv")
    assert result.to_arrow().column("path").to_pylist() == [f"{c}/{k}.png" for c in COLOURS for k in range(8)]
    assert ears.notes[-1] == "written: py.csv and py.csv.json"
    same(result, json.loads(Path("py.csv.json").read_text(encoding="utf-8")))
    facts = facts_of("infer", "photos", "--model", "runs/first/model.onnx", "--device", "cpu", "--out", "py.csv",
                     "--overwrite", "--probabilities", "--metric", "averages")  # fmt: skip
    same(result, facts)
    assert Path("py.csv").read_bytes() == written


def test_infer_takes_paths_and_a_list_of_them():
    paths = [Path("photos/red/1.png"), "photos/blue/0.png", "photos/none.png"]
    names = [os.fspath(path) for path in paths]
    Path("list.txt").write_text("\n".join(names), encoding="utf-8")
    model = {"model": "runs/first/model.onnx", "device": "cpu"}
    one = clsbench.infer("photos/red/1.png", **model).to_arrow().to_pylist()
    assert [row["path"] for row in one] == ["1.png"]
    found = [clsbench.infer(images, **model) for images in (paths, tuple(paths), iter(paths), "list.txt")]
    rows = [result.to_arrow().to_pylist() for result in found]
    assert rows == [rows[0]] * 4
    assert [row["path"] for row in rows[0]] == names
    assert [row["label"] for row in rows[0]][:2] == ["red", "blue"]
    assert rows[0][0]["predicted"] == one[0]["predicted"]
    assert "No such file" in rows[0][2]["error"]
    assert [result.images for result in found] == ["."] * 3 + ["list.txt"]
    with pytest.raises(DataError, match="there are no images"):
        clsbench.infer([], out="none.csv", **model)
    assert not Path("none.csv.json").exists()


def test_rows_that_were_not_kept_are_refused():
    result = clsbench.infer("photos", model="runs/first/model.onnx", device="cpu", keep_rows=False)
    with pytest.raises(DataError, match="rows of this job were not kept"):
        result.to_arrow()


def test_evaluate_with_page_and_plots(ears, facts_of):
    found = clsbench.evaluate(
        "b.csv", html="b.html", images="photos", plots="plots", options={"confusion.min_count": 1}, observer=ears
    )
    assert found.counts.judged == 24
    assert found.to_arrow().column("class").to_pylist() == list(COLOURS)
    assert "<img" in Path("b.html").read_text(encoding="utf-8")
    assert sorted(file.name for file in Path("plots").iterdir()) == ["confusion.png", "reliability.png"]
    assert [note for note in ears.notes if "drawn" in note]
    assert ("evaluating", None) in ears.stages
    same(found, facts_of("evaluate", "b.csv", "--with", "confusion.min_count=1"))
    same(clsbench.evaluate("b.csv", options=["confusion.min_count=1"]), found.to_json())


def test_compare(ears, facts_of):
    found = clsbench.compare("a.csv", "b.csv", margin=5, plot="plot.png", observer=ears)
    assert (list(found.files), found.images) == (["a", "b"], 24)
    assert found.to_arrow().num_rows == 3
    assert Path("plot.png").is_file()
    assert ears.stages
    same(found, facts_of("compare", "a.csv", "b.csv", "--margin", 5))
    Path("c.csv").write_bytes(Path("a.csv").read_bytes())
    ranked = clsbench.compare("a.csv", "b.csv", "c.csv")
    assert ranked.to_arrow().num_rows == 3
    same(ranked, facts_of("compare", "a.csv", "b.csv", "c.csv"))


def test_report(ears, facts_of):
    found = clsbench.report("b.csv", out="page.html", images="photos", observer=ears)
    assert (found.file, found.evaluation.counts.judged) == (Path("page.html"), 24)
    assert "<html" in found.file.read_text(encoding="utf-8")
    assert ears.stages
    same(found, facts_of("report", "b.csv", "--out", "page.html", "--images", "photos"))


def test_show(ears, facts_of):
    found = clsbench.show("photos", n=2, size=16, augment="none", out="grid.png", val_fraction=0.25, observer=ears)
    assert (found.classes, len(found.drawn)) == (tuple(COLOURS), 2)
    assert found.file.is_file()
    assert ears.notes
    same(found, facts_of("show", "photos", "-n", 2, "--size", 16, "--augment", "none", "--out", "grid.png",
                         "--val-fraction", 0.25))  # fmt: skip


def test_show_predictions(ears, facts_of):
    found = clsbench.show_predictions("b.csv", images="photos", pick="random", n=3, out="preds.png", observer=ears)
    assert len(found.drawn) == 3
    assert found.file.is_file()
    assert ears.stages
    same(found, facts_of("show", "b.csv", "--images", "photos", "--pick", "random", "-n", 3, "--out", "preds.png"))


def test_bench(ears, tiny_onnx, facts_of, monkeypatch):
    monkeypatch.setattr("clsbench.inference.bench_rounds.MAX_ROUNDS", 3)
    found = clsbench.bench(tiny_onnx, images="photos", batch_sizes=[2], device="cpu", window=0.05, observer=ears)
    assert [benchmark.batch_size for benchmark in found.benchmarks] == [2]
    assert ears.stages[0][0] == "opening tiny.onnx in onnxruntime, batches of 2"
    assert ears.done > 0
    facts = facts_of("bench", tiny_onnx, "--images", "photos", "--batch-size", 2, "--device", "cpu", "--window", 0.05)
    told = found.to_json()
    assert told.keys() == facts.keys()
    assert [b.keys() for b in told["benchmarks"]] == [b.keys() for b in facts["benchmarks"]]
    for key in ("scenario", "device", "environment"):
        assert told[key] == facts[key]


def test_inspect(facts_of):
    found = clsbench.inspect("runs/first/model.onnx")
    assert found.card.classes == tuple(COLOURS)
    assert found.card.training["run"] == "first"
    same(found, facts_of("inspect", "runs/first/model.onnx"))


def test_describe_dataset(ears, facts_of):
    found = clsbench.describe_dataset("folder", "photos", val_fraction=0.25, observer=ears)
    assert (found.classes, found.written) == (tuple(COLOURS), None)
    assert found.counts["red"] == {"train": 6, "val": 2}
    assert ears.notes
    assert (found.lengths, found.input) == ({"train": 18, "val": 6}, (32, 32, 3))
    assert found.samples.formats == {"PNG": 24}
    same(found, facts_of("datasets", "folder", "photos", "--val-fraction", 0.25))
    written = clsbench.describe_dataset(run="first", split="val", write="written")
    assert written.written == len(list(Path("written").rglob("*.png"))) == 6


def test_describe_model(facts_of):
    found = clsbench.describe_model("simple-cnn", num_classes=3, options=TINY)
    assert found.to_arrow().num_rows == len(found.layers)
    same(found, facts_of("models", "simple-cnn", "--num-classes", 3, *FLAGS[10:]))


def test_list_runs(ears, facts_of):
    found = clsbench.list_runs(observer=ears)
    first = next(run for run in found.runs if run.run == "first")
    assert (first.classes, first.exported, first.epochs) == (3, True, 1)
    assert found.to_arrow().column("run").to_pylist() == [run.run for run in found.runs]
    same(found, facts_of("runs"))
    Path("odd/broken").mkdir(parents=True)
    Path("odd/broken/run.json").write_text("{", encoding="utf-8")
    assert clsbench.list_runs("odd", observer=ears).runs == ()
    assert ears.warnings


def test_list_components_and_plugins(facts_of):
    found = clsbench.list_components("dataset")
    assert {"folder", "csv"} <= {resolved.component.name for resolved in found.components}
    same(found, facts_of("datasets"))
    plugins = clsbench.list_plugins()
    assert plugins.plugins[0][0].name == "clsbench"
    same(plugins, facts_of("plugins", "list"))


def test_doctor(ears, facts_of, monkeypatch):
    from clsbench.inference.diagnostics import Diagnostic

    checks = [Diagnostic("works", "ok", "it does"), Diagnostic("broken", "fault", "it does not", "mend it")]
    monkeypatch.setattr("clsbench.inference.diagnostics.diagnose", lambda plugins: checks)
    found = clsbench.doctor(observer=ears)
    assert found.faults == ["broken"]
    assert ears.stages == [("checking", None)]
    same(found, facts_of("doctor", code=1))


def test_tables_of_pandas_where_it_is_installed(monkeypatch):
    results = [
        clsbench.list_runs(),
        clsbench.infer("photos/red", model="runs/first/model.onnx", device="cpu"),
        clsbench.evaluate("a.csv"),
        clsbench.compare("a.csv", "b.csv"),
    ]
    if find_spec("pandas"):
        for result in results:
            assert result.to_pandas().shape == (result.to_arrow().num_rows, result.to_arrow().num_columns)
    monkeypatch.setitem(sys.modules, "pandas", None)
    for result in results:
        with pytest.raises(ClsbenchError, match=r"to_pandas\(\) needs pandas"):
            result.to_pandas()


WRONG = {
    "train": (OptionError, lambda: clsbench.train("photos", model="simple-cn")),
    "a field": (OptionError, lambda: clsbench.train("photos", epoch=1)),
    "its value": (OptionError, lambda: clsbench.train("photos", epochs="few")),
    "its option": (OptionError, lambda: clsbench.train("photos", options={"model.widht": 3})),
    "no data": (DataError, lambda: clsbench.train("nowhere")),
    "find_lr": (OptionError, lambda: clsbench.find_lr("photos", out="curve.jpg")),
    "export": (ModelError, lambda: clsbench.export("never")),
    "infer": (DataError, lambda: clsbench.infer("nowhere", model="runs/first/model.onnx")),
    "no model": (ModelError, lambda: clsbench.infer("photos", model="absent.onnx")),
    "suffix": (OptionError, lambda: clsbench.infer("photos", model="runs/first/model.onnx", out="p.xyz")),
    "evaluate": (DataError, lambda: clsbench.evaluate("absent.csv")),
    "metric": (OptionError, lambda: clsbench.evaluate("a.csv", metrics=["nothing"])),
    "columns": (OptionError, lambda: clsbench.evaluate("a.csv", columns="path")),
    "compare": (OptionError, lambda: clsbench.compare("a.csv")),
    "report": (OptionError, lambda: clsbench.report("a.csv", out="a.pdf")),
    "show": (OptionError, lambda: clsbench.show("photos", run="first")),
    "show_predictions": (OptionError, lambda: clsbench.show_predictions("a.csv", images="photos", pick="odd")),
    "bench": (OptionError, lambda: clsbench.bench("runs/first/model.onnx", batch_sizes=[0])),
    "inspect": (ModelError, lambda: clsbench.inspect("a.csv")),
    "describe_dataset": (OptionError, lambda: clsbench.describe_dataset("foldr")),
    "list_components": (OptionError, lambda: clsbench.list_components("metrics")),
}


@pytest.mark.parametrize("task", WRONG)
def test_errors_are_ours(task):
    kind, call = WRONG[task]
    with pytest.raises(kind):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: clsbench.infer("x", tune="slow"), "unknown tune"),
        (lambda: clsbench.infer("x", unknown_labels="odd"), "unknown unknown_labels"),
        (lambda: clsbench.infer("x", topk=-1), "topk is too small"),
        (lambda: clsbench.infer("x", batch_size=0), "batch_size is too small"),
        (lambda: clsbench.bench("x", window=0), "window is too small"),
        (lambda: clsbench.bench("x", scenario="odd"), "unknown scenario"),
        (lambda: clsbench.show(n=0), "n is too small"),
        (lambda: clsbench.list_runs(sort="odd"), "unknown sort"),
        (lambda: clsbench.find_lr(steps=1), "steps is too small"),
        (lambda: clsbench.infer("x", options="writer.a=b"), "nothing in use here is called 'writer'"),
    ],
)
def test_what_the_command_line_refuses_by_its_types_is_refused_here_too(call, words):
    with pytest.raises(clsbench.OptionError, match=re.escape(words)):
        call()


@pytest.mark.parametrize(("images", "words"), [(7, "named by paths"), ([7], "named by paths"), (["a", "a"], "twice")])
def test_images_that_are_not_different_paths_are_refused(images, words, tiny_onnx):
    with pytest.raises(clsbench.DataError, match=words):
        clsbench.infer(images, model=tiny_onnx)
