"""One component of each kind from a plugin: it shows up wherever ours do, and whatever it does wrong bears its name."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import COLOURS

PLUGIN = """
    import os
    import numpy as np
    from clsbench import Component, DataError, Execution, PixelsEntry, Shown, ShownMetric, hookimpl

    print("acme is being imported")
    COLOURS = {"blue": (20, 30, 230), "green": (25, 210, 40), "red": (220, 30, 25)}

    class Stop(BaseException):
        '''Neither an exit nor an interrupt.'''

    FAILURES = {
        "SystemExit": SystemExit(0), "MemoryError": MemoryError(), "Stop": Stop("now"), "ValueError": ValueError("odd"),
    }

    def at(place, fail):
        print("acme is at", place)
        where, _, kind = fail.partition(":")
        if where == place:
            raise FAILURES[kind]

    class Painted:
        '''An entry of its own class.'''
        def __init__(self, name, form, fail):
            self.name, self.form, self.fail = name, form, fail
        def read(self):
            at("read", self.fail)
            colour = COLOURS[self.name.split("/")[0]]
            if self.form == "pixels":
                return np.full((8, 8, 3), colour, np.uint8)
            return b"acme" + bytes(colour)

    class Store:
        def __init__(self, location, *, each: int = 1, form: str = "pixels", fail: str = ""):
            at("build", fail)
            self.location, self.skipped, self.each, self.form, self.fail = location, (), each, form, fail
        @property
        def entries(self):
            at("entries", self.fail)
            return [Painted(f"{c}/{k}.acme", self.form, self.fail) for c in COLOURS for k in range(self.each)]

    ODD = {
        "rgba": lambda x: np.dstack([x, x[..., :1]]), "float": lambda x: x / 255, "chw": lambda x: x.transpose(2, 0, 1),
        "grey": lambda x: x[..., 0], "none": lambda x: None, "": lambda x: x,
    }

    class Decoder:
        formats = frozenset({"acme"})
        def __init__(self, *, side: int = 8, odd: str = "", fail: str = ""):
            at("build", fail)
            self.side, self.odd, self.fail = side, odd, fail
        def __call__(self, data):
            at("decode", self.fail)
            if not data.startswith(b"acme"):
                raise DataError("not of acme")
            return ODD[self.odd](np.full((self.side, self.side, 3), tuple(data[4:7]), np.uint8))

    class Backwards:
        '''Runs the last image first.'''
        execution = None
        def __init__(self, *, block: int = 4, fail: str = ""):
            at("build", fail)
            self.block, self.fail = block, fail
        def run(self, spec, entries):
            from clsbench import Predictions
            from clsbench.inference.executors import SerialExecutor
            from dataclasses import replace
            at("run", self.fail)
            serial, rows = SerialExecutor(), []
            for block in serial.run(spec, entries[::-1]):
                rows.append((block.names[0], block.logits[0], block.errors[0]))
            self.execution = replace(serial.execution, plan=replace(serial.execution.plan, source="acme"))
            rows.reverse()
            for start in range(0, len(rows), self.block):
                names, logits, errors = zip(*rows[start : start + self.block])
                yield Predictions(list(names), np.stack(logits), list(errors))
                at("block", self.fail)

    class Writer:
        def __init__(self, path, card, *, topk: int = 0, mark: str = "=", fail: str = ""):
            at("build", fail)
            self.path, self.card, self.mark, self.fail, self.lines = path, card, mark, fail, []
        def __enter__(self):
            at("enter", self.fail)
            return self
        def write(self, predictions):
            at("write", self.fail)
            for name, logits in zip(predictions.names, predictions.logits):
                self.lines.append(f"{name}{self.mark}{self.card.classes[logits.argmax()]}")
        def __exit__(self, kind, error, trace):
            at("exit", self.fail)
            if error is None:
                self.path.write_text("\\n".join(self.lines))

    def metric(*, price: float = 1.0, fail: str = ""):
        at("build", fail)
        def shown(value):
            at("format", fail)
            return f"{value:.1f} coins"
        def measure(outcomes):
            at("measure", fail)
            return {"cost": price * int((outcomes.predicted != outcomes.labels).sum()), "asked": price}
        return ShownMetric(measure, (Shown("cost", "score", "Cost of mistakes", format=shown),))

    @hookimpl
    def register_sources():
        yield Component("store", Store, "the pictures of acme", opens=("acme://",))

    @hookimpl
    def register_decoders():
        yield Component("paint", Decoder, "seven bytes an image")

    @hookimpl
    def register_executors():
        yield Component("backwards", Backwards, "the last one first")

    @hookimpl
    def register_writers():
        yield Component("acme", Writer, "lines")

    @hookimpl
    def register_metrics():
        yield Component("cost", metric, "what mistakes cost")
"""

NAMES = {"source": "store", "decoder": "paint", "executor": "backwards", "writer": "acme", "metric": "cost"}
OWNER = "distribution clsbench-acme 1.0"


@pytest.fixture(autouse=True)
def plugin(fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)


@pytest.fixture
def images(tmp_path):
    """Images in the plugin's format, two of each colour."""
    for colour, value in COLOURS.items():
        for k in range(2):
            file = tmp_path / "own" / colour / f"{k}.acme"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"acme" + bytes(value))
    return tmp_path / "own"


@pytest.fixture
def infer(cli, tiny_onnx):
    """infer(images, …): on the CPU, with facts in facts.json."""
    return lambda *arguments: cli("infer", *arguments, "--model", tiny_onnx, "--device", "cpu", "--json", "facts.json")


def facts():
    return json.loads(Path("facts.json").read_text(encoding="utf-8"))


def rows(file="p.csv"):
    with open(file, newline="", encoding="utf-8") as stream:
        return [(row["path"], row["predicted"]) for row in csv.DictReader(stream)]


def right(each=1):
    return [(f"{colour}/{k}.acme", colour) for colour in sorted(COLOURS) for k in range(each)]


def test_all_of_them_are_listed(cli):
    table = " ".join(cli("plugins", "list").stdout.split())
    for kind, name in NAMES.items():
        assert f"{kind}: {name}" in table
    done = cli("plugins", "list", "--json", "-")
    (own,) = [plugin for plugin in json.loads(done.stdout)["plugins"] if plugin["name"] == "acme"]
    assert own["components"] == {kind: [name] for kind, name in NAMES.items()}
    assert (own["distribution"], own["version"], own["error"]) == ("clsbench-acme", "1.0", None)
    assert own["imports_torch"] is False


def test_a_source_is_opened_by_its_scheme(infer, refused, tiny_onnx):
    done = infer("acme://shelf", "--out", "p.csv", "--with", "store.each=2", "--with", "source.form=pixels")
    assert done.code == 0, done.stderr
    assert rows() == right(2)
    for found in (facts(), json.loads(Path("p.csv.json").read_text(encoding="utf-8"))):
        assert found["images"] == "acme://shelf"
        assert found["options"]["with"] == ["store.each=2", "source.form=pixels"]
        assert found["counts"] == {"total": 6, "ok": 6, "errors": 0, "labelled": 6}
    refused(2, ["store has no option 'eech'", "did you mean store.each?"],
            "infer", "acme://shelf", "--model", tiny_onnx, "--with", "store.eech=2")  # fmt: skip
    refused(2, ["each", "a whole number"], "infer", "acme://shelf", "--model", tiny_onnx, "--with", "store.each=few")


def test_a_decoder_reads_a_format_of_its_own(infer, refused, images, tiny_onnx):
    assert infer(images).code == 1  # nobody else reads it, nor lists it as an image
    done = infer(images, "--decoder", "paint", "--out", "p.csv", "--with", "decoder.side=3")
    assert done.code == 0, done.stderr
    assert rows() == right(2)
    assert facts()["options"]["with"] == ["decoder.side=3"]
    assert infer(images, "--decoder", "acme/paint", "--with", "acme/paint.side=0").code == 1  # so the option is used
    refused(2, ["paint has no option 'sid'", "did you mean paint.side?"],
            "infer", images, "--model", tiny_onnx, "--decoder", "paint", "--with", "paint.sid=3")  # fmt: skip
    refused(2, ["unknown decoder 'pain'", "did you mean paint"],
            "infer", images, "--model", tiny_onnx, "--decoder", "pain")  # fmt: skip


def test_a_decoder_and_a_source_of_encoded_images_work_together(infer):
    done = infer("acme://shelf", "--decoder", "paint", "--with", "store.form=bytes", "--out", "p.csv")
    assert done.code == 0, done.stderr
    assert rows() == right()


def test_an_executor_runs_the_job(infer, refused, photos, tiny_onnx):
    done = infer(photos / "val", "--executor", "acme/backwards", "--out", "p.csv", "--with", "executor.block=5")
    assert done.code == 0, done.stderr
    found, plain = facts(), rows()
    assert found["options"]["executor"] == "acme/backwards"
    assert found["options"]["plan"] == "acme"
    assert "throughput" in found
    assert infer(photos / "val", "--executor", "serial", "--out", "p.csv", "--overwrite").code == 0
    assert rows() == plain
    assert facts()["options"]["executor"] == "clsbench/serial"
    refused(2, ["backwards has no option 'blok'", "did you mean executor.block?"], "infer", photos, "--model",
            tiny_onnx, "--executor", "backwards", "--with", "executor.blok=5")  # fmt: skip
    refused(2, ["unknown executor 'backward'", "did you mean backwards"],
            "infer", photos, "--model", tiny_onnx, "--executor", "backward")  # fmt: skip


def test_a_writer_is_chosen_by_its_suffix(infer, refused, photos, tiny_onnx):
    done = infer(photos / "val", "--out", "preds.acme", "--with", "writer.mark=:")
    assert done.code == 0, done.stderr
    lines = Path("preds.acme").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 6
    assert {line.split("/")[0] == line.split(":")[1] for line in lines} == {True}
    told = facts()
    assert len(told.pop("predictions")) == 6
    assert json.loads(Path("preds.acme.json").read_text(encoding="utf-8")) == told
    assert facts()["options"]["with"] == ["writer.mark=:"]
    refused(2, ["acme has no option 'marc'", "did you mean writer.mark?"],
            "infer", photos, "--model", tiny_onnx, "--out", "preds.acme", "--with", "writer.marc=:")  # fmt: skip
    refused(2, ["unknown writer 'acm'", "did you mean acme"],
            "infer", photos, "--model", tiny_onnx, "--out", "preds.acm")  # fmt: skip
    refused(2, ["acme/acme has no option 'probabilities'"],
            "infer", photos, "--model", tiny_onnx, "--out", "preds.acme", "--overwrite", "--probabilities")  # fmt: skip


def test_a_metric_is_measured_and_shown(cli, infer, refused, photos, tiny_onnx):
    done = infer(photos / "val", "--metric", "cost", "--with", "cost.price=3", "--out", "p.csv")
    assert done.code == 0, done.stderr
    assert "Cost of mistakes 0.0 coins" in " ".join(done.stdout.split())
    assert (facts()["metrics"]["cost"], facts()["metrics"]["asked"]) == (0.0, 3.0)
    done = cli("evaluate", "p.csv", "--metric", "acme/cost", "--with", "metric.price=4", "--json", "facts.json")
    assert done.code == 0, done.stderr
    assert "Cost of mistakes 0.0 coins" in " ".join(done.stdout.split())
    assert facts()["metrics"]["asked"] == 4.0
    for command in (("infer", photos, "--model", tiny_onnx), ("evaluate", "p.csv"), ("report", "p.csv")):
        refused(2, ["cost has no option 'prise'", "did you mean cost.price?"],
                *command, "--metric", "cost", "--with", "cost.prise=3")  # fmt: skip


def test_five_kinds_in_one_job_print_and_stdout_has_the_json_alone(cli, tiny_onnx):
    done = cli(
        "infer", "acme://shelf", "--model", tiny_onnx, "--device", "cpu", "--decoder", "paint", "--executor",
        "backwards", "--metric", "cost", "--out", "preds.acme", "--with", "store.form=bytes", "--json", "-",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["asked"] == 1.0
    for place in ("build", "entries", "read", "decode", "run", "write", "exit", "measure", "format"):
        assert f"acme is at {place}\n" in done.stderr
    assert "acme is being imported" in done.stderr


EVERYTHING = ("--executor", "backwards", "--decoder", "paint", "--metric", "cost", "--with", "store.form=bytes")
FAILING = {
    "store": ("build", "entries", "read"),
    "paint": ("build", "decode"),
    "backwards": ("build", "run", "block"),
    "acme": ("build", "enter", "write", "exit"),
    "cost": ("build", "measure", "format"),
}


@pytest.mark.parametrize("kind", ["SystemExit", "MemoryError", "Stop"])
@pytest.mark.parametrize(("name", "place"), [(name, place) for name, places in FAILING.items() for place in places])
def test_whatever_ends_a_process_is_the_plugins_failure(infer, name, place, kind):
    done = infer("acme://shelf", *EVERYTHING, "--out", "preds.acme", "--with", f"{name}.fail={place}:{kind}")
    assert done.code == 1, done.stderr
    assert f"acme/{name} failed" in done.stderr
    assert OWNER in done.stderr
    assert "fault of clsbench" not in done.stderr
    assert not Path("facts.json").exists()
    written = name == "cost" and place != "build"  # then both files are complete
    assert [Path(file).exists() for file in ("preds.acme", "preds.acme.json")] == [written] * 2


@pytest.mark.parametrize("executor", ["threads", "serial"])
@pytest.mark.parametrize("failing", ["store.fail=read", "paint.fail=decode"])
def test_our_executors_and_writers_leave_nothing_behind_then(infer, executor, failing):
    for kind in ("SystemExit", "MemoryError", "Stop"):
        done = infer("acme://shelf", "--executor", executor, "--decoder", "paint", "--with", "store.form=bytes",
                     "--out", "out/p.csv", "--with", f"{failing}:{kind}")  # fmt: skip
        assert (done.code, OWNER in done.stderr) == (1, True), done.stderr
        assert not [file.name for file in Path("out").glob("*")]


@pytest.mark.parametrize(("name", "place"), [("store", "read"), ("paint", "decode"), ("cost", "measure"),
                                             ("cost", "format")])  # fmt: skip
def test_an_exception_costs_an_image_or_a_value_only(infer, name, place):
    done = infer("acme://shelf", *EVERYTHING, "--out", "p.csv", "--with", f"{name}.fail={place}:ValueError")
    if name == "cost":
        assert done.code == 0, done.stderr
        assert "metric acme/cost failed: ValueError: odd" in done.stderr
        assert facts()["metric_errors"] == {"acme/cost": "ValueError: odd"}
        assert facts()["metrics"]["top1"]["correct"] == 3
    else:
        assert done.code == 3, done.stderr  # every image
        assert facts()["counts"]["errors"] == 3
        assert "odd" in Path("p.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["measure", "format"])
def test_a_metric_ends_evaluate_and_report_too(cli, place):
    Path("p.csv").write_text("path,label,predicted\n1,ant,ant\n2,ant,bee\n", encoding="utf-8")
    for command in ("evaluate", "report"):
        done = cli(command, "p.csv", "--metric", "cost", "--with", f"cost.fail={place}:SystemExit")
        assert (done.code, OWNER in done.stderr, "acme/cost failed" in done.stderr) == (1, True, True), done.stderr
    assert not Path("p.html").exists()


@pytest.mark.parametrize("odd", ["rgba", "float", "chw", "grey", "none"])
@pytest.mark.parametrize("executor", ["threads", "serial"])
def test_what_is_not_pixels_ends_the_job(infer, images, executor, odd):
    done = infer(images, "--decoder", "paint", "--with", f"paint.odd={odd}", "--executor", executor, "--out", "p.csv")
    assert done.code == 1
    for words in ("acme/paint returned something other than pixels", OWNER, "uint8 array of shape (H, W, 3)"):
        assert words in done.stderr
    assert not Path("p.csv").exists()


BACKENDS = """
    import numpy as np
    from clsbench import Backend, Component, DeviceInfo, hookimpl

    class Odd(Backend):
        device, streams, batch_size = DeviceInfo(provider="odd", device="cpu"), 1, 2
        def __init__(self, model_path, device, *, kind: str = "float64"):
            print("odd is built")
            self.kind = kind
        def __call__(self, images):
            n = len(images)
            return np.zeros((n, 3)) if self.kind == "float64" else np.zeros((n, int(self.kind)), np.float32)

    class Thief:
        def __call__(self, outcomes):
            return {"top1": 1.0, "per_class": []}

    @hookimpl
    def register_backends():
        yield Component("odd", Odd)

    @hookimpl
    def register_metrics():
        yield Component("thief", Thief)
"""


@pytest.mark.parametrize("kind", ["float64", "2", "4"])
def test_a_backend_that_returns_no_logits_ends_the_job(infer, fake_distribution, kind):
    fake_distribution("clsbench-odd", BACKENDS)
    done = infer("acme://shelf", "--backend", "odd/odd", "--with", f"backend.kind={kind}", "--out", "p.csv")
    assert done.code == 1
    assert "odd/odd returned something other than logits" in done.stderr
    assert "distribution clsbench-odd 1.0" in done.stderr
    assert "float32 (2, 3)" in done.stderr
    assert not Path("p.csv").exists()


def test_a_metric_cannot_replace_ours(cli, infer, fake_distribution):
    fake_distribution("clsbench-odd", BACKENDS)
    Path("labels.csv").write_text("path,label\nblue/0.acme,red\ngreen/0.acme,green\nred/0.acme,red\n", encoding="utf-8")
    done = infer("acme://shelf", "--metric", "odd/thief", "--labels", "labels.csv", "--out", "p.csv")
    assert done.code == 0, done.stderr
    first = facts()
    assert cli("evaluate", "p.csv", "--metric", "odd/thief", "--json", "facts.json").code == 0
    for found in (first, facts()):
        assert (found["metrics"]["top1"]["correct"], found["metrics"]["top1"]["total"]) == (2, 3)
        assert "which another metric has given already" in found["metric_errors"]["odd/thief"]


GARBAGE = """
    import numpy as np
    from types import SimpleNamespace
    from clsbench import Component, PixelsEntry, hookimpl

    class Empty: ...

    def source(**more):
        entries = [PixelsEntry("red/a", np.zeros((4, 4, 3), np.uint8))]
        return SimpleNamespace(**{{"location": "here", "entries": entries, "skipped": (), **more}})

    class Bare:
        def run(self, spec, entries):
            from clsbench.inference.executors import SerialExecutor
            yield from SerialExecutor().run(spec, entries)

    class Lying(Bare):
        execution = "fast"

    class Decoder:
        def __init__(self, formats): self.formats = formats
        def __call__(self, data): return np.zeros((4, 4, 3), np.uint8)

    def build(*arguments, topk: int = 0):
        return {value}

    @hookimpl
    def register_{kind}s():
        yield Component("junk", build, opens=("junk://",))
"""

ANY = {"none": "None", "class": "Empty", "empty": "Empty()"}
USES = {
    "source": ("junk://x",),
    "decoder": ("acme://x", "--decoder", "junk"),
    "backend": ("acme://x", "--backend", "junk"),
    "executor": ("acme://x", "--executor", "junk"),
    "writer": ("acme://x", "--out", "p.junk"),
    "metric": ("acme://x", "--metric", "junk"),
}
OWN = [
    ("source", "source(entries=None)"), ("source", "source(entries=['red/a.png'])"),
    ("source", "source(skipped=None)"), ("source", "source(skipped=['a'])"), ("source", "source(location=None)"),
    ("source", "source(entries=source().entries * 2)"),
    ("source", "source(entries=[PixelsEntry(7, source().entries[0].pixels)])"),
    ("decoder", "Decoder(None)"), ("decoder", "Decoder('jpeg')"), ("decoder", "Decoder([3])"),
    ("executor", "Bare()"), ("executor", "Lying()"), ("executor", "SimpleNamespace(execution=None, run=lambda *a: 3)"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind in USES for value in ANY.values()] + OWN)
def test_garbage_is_named_as_the_plugins(infer, fake_distribution, kind, value):
    fake_distribution("clsbench-junk", GARBAGE.format(kind=kind, value=value))
    done = infer(*USES[kind], *(() if kind == "writer" else ("--out", "p.csv")))
    assert done.code == 1, done.stderr
    assert "junk/junk" in done.stderr
    assert "distribution clsbench-junk 1.0" in done.stderr
    assert "fault of clsbench" not in done.stderr
    assert not Path("p.csv").exists()
    assert not Path("p.csv.json").exists()


def test_a_source_without_images_is_no_job(infer):
    done = infer("acme://shelf", "--with", "store.each=0", "--out", "p.csv")
    assert done.code == 1
    assert "there are no images\n  where: acme://shelf" in done.stderr
    assert not Path("p.csv.json").exists()


DATASETS = """
    import numpy as np
    from clsbench import Component, Dataset, Sample, hookimpl

    class Stop(BaseException): ...

    FAILURES = {
        "SystemExit": SystemExit(0), "MemoryError": MemoryError(), "Stop": Stop(), "ValueError": ValueError("odd")
    }

    class Own:
        def __init__(self, name, fail): self.name, self.fail = name, fail
        def read(self):
            print("read", self.name)
            if self.fail: raise FAILURES[self.fail]
            return np.full((8, 8, 3), 90 if self.name.startswith("a") else 200, np.uint8)

    def build(root, *, at: str = "", how: str = "SystemExit"):
        print("the dataset is built")
        if at == "build": raise FAILURES[how]
        if at in ("none", "class", "dict"): return {"none": None, "class": Dataset, "dict": {"classes": ("a", "b")}}[at]
        samples = [Sample(Own(f"{'ab'[k % 2]}{k}", how if at == "all" or (at == "one" and k == 3) else ""), k % 2)
                   for k in range(12)]
        return Dataset(classes=("a", "b"), splits={"train": samples})

    @hookimpl
    def register_datasets():
        yield Component("pets", build, "pets")
"""


@pytest.fixture
def pets(fake_distribution):
    fake_distribution("clsbench-pets", DATASETS)


COMMANDS = {
    "train": ("train", "--dataset", "pets", "--epochs", "1", "--device", "cpu"),
    "datasets": ("datasets", "pets", "--write", "written", "--split", "train"),
    "show": ("show", "--dataset", "pets", "-n", "12", "--size", "8", "--augment", "none"),
}


@pytest.mark.parametrize("how", ["SystemExit", "MemoryError", "Stop"])
@pytest.mark.parametrize("at", ["build", "one"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_dataset_and_its_entries_that_end_a_process(cli, pets, command, at, how):
    done = cli(*command, "--with", f"data.at={at}", "--with", f"data.how={how}", "--with", "data.val_fraction=0.25")
    assert done.code == 1, done.stderr
    assert "pets/pets failed" in done.stderr
    assert "distribution clsbench-pets 1.0" in done.stderr
    assert "fault of clsbench" not in done.stderr


@pytest.mark.parametrize("storage", ["ram", "off"])
def test_an_exception_of_an_entry_costs_training_that_image_only(cli, pets, storage, without_curves):
    done = cli(
        "train", "--dataset", "pets", "--with", "data.at=one", "--with", "data.how=ValueError",
        "--epochs", "1", "--cache", storage, "--device", "cpu", "--json", "-",
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["classes"] == ["a", "b"]
    assert "b3" in done.stderr
    assert "ValueError: odd" in done.stderr


@pytest.mark.parametrize("at", ["none", "class", "dict"])
def test_what_is_no_dataset_is_named_as_the_plugins(cli, pets, at):
    done = cli("datasets", "pets", "--with", f"data.at={at}")
    assert done.code == 1
    for words in ("pets/pets built something that is not a usable dataset", "distribution clsbench-pets 1.0"):
        assert words in done.stderr


def test_pixels_of_the_plugin_are_those_of_its_images(infer):
    """The colours here and in the plugin are the same, or the tests above compare with something else."""
    namespace = {}
    exec("COLOURS" + PLUGIN.split("COLOURS", 1)[1].split("\n", 1)[0], namespace)
    assert namespace["COLOURS"] == COLOURS
    assert np.asarray(list(COLOURS.values())).argmax(axis=1).tolist() == [2, 1, 0]
