import csv

import pytest
from onnx import load, save

from clsbench.inference import devices
from clsbench.inference.cuda_driver import Driver


@pytest.fixture
def val(photos):
    return photos / "val"


@pytest.fixture
def infer(refused, tiny_onnx, val):
    """refused for `clsbench infer` on the CPU with the tiny model and the validation photos."""

    def check(code, words, *arguments, images=val, model=tiny_onnx):
        return refused(code, words, "infer", images, "--model", model, "--device", "cpu", *arguments)

    return check


def rows(file):
    return {row["path"]: row for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines())}


@pytest.mark.parametrize("command", ["train", "find-lr", "show", "infer"])
def test_no_such_folder(refused, tiny_onnx, command):
    more = ["--model", tiny_onnx] if command == "infer" else []
    refused(1, ["no such", "nowhere"], command, "nowhere", *more)


@pytest.mark.parametrize("command", ["train", "find-lr", "show", "infer"])
def test_no_images_in_the_folder(refused, tiny_onnx, tmp_path, command):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    more = ["--model", tiny_onnx] if command == "infer" else []
    refused(1, ["no images", "1 .txt", ".jpg"], command, "empty", *more)


def test_a_text_file_named_jpg_is_a_row_with_a_reason(infer, val, tmp_path):
    (val / "red" / "fake.jpg").write_text("not an image")
    (val / "red" / "empty.png").touch()
    (val / "red" / "cut.png").write_bytes((val / "red" / "0.png").read_bytes()[:60])
    infer(0, [], "--out", "preds.csv")
    found = rows(tmp_path / "preds.csv")
    assert len(found) == 9
    assert "not an image" in found["red/fake.jpg"]["error"]
    assert "empty" in found["red/empty.png"]["error"]
    assert "damaged" in found["red/cut.png"]["error"]
    for path in ("red/fake.jpg", "red/empty.png", "red/cut.png"):
        assert found[path]["predicted"] == ""
        assert found[path]["label"] == "red"
    assert all(row["predicted"] == row["label"] for row in found.values() if not row["error"])


def test_when_no_picture_is_readable_the_rows_are_written_and_the_exit_code_is_three(infer, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_text("not an image")
    infer(3, ["none of 2 images", "not an image"], "--out", "preds.csv", images=folder)
    assert [row["error"][:12] for row in rows(tmp_path / "preds.csv").values()] == ["not an image"] * 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.onnx", b"not a graph"),
        ("model.onnx", b""),
        ("model.onnx", None),
        ("run.json", b'{"schema": 1}'),
        ("model.pt", b"PK\x03\x04"),
        ("model.textproto", b"not a graph"),
    ],
    ids=["text", "empty", "cut", "json", "checkpoint", "textproto"],
)
@pytest.mark.parametrize("command", ["infer", "inspect"])
def test_a_file_that_is_no_onnx_model(refused, val, tiny_onnx, tmp_path, command, name, content):
    file = tmp_path / name
    file.write_bytes(tiny_onnx.read_bytes()[:-20] if content is None else content)
    arguments = ["inspect", file] if command == "inspect" else ["infer", val, "--model", file, "--device", "cpu"]
    refused(1, ["this is not an ONNX file", name], *arguments)


@pytest.mark.parametrize("command", ["infer", "inspect"])
def test_no_such_model_file(refused, val, command):
    arguments = ["inspect", "no.onnx"] if command == "inspect" else ["infer", val, "--model", "no.onnx"]
    refused(1, ["no such model file", "no.onnx"], *arguments)


def test_the_name_of_a_network_is_no_file(refused, val):
    words = ["no such model file", "resnet18", "`clsbench export --model resnet18 --pretrained` makes a file"]
    refused(1, words, "infer", val, "--model", "resnet18")


def test_a_model_without_a_card_is_refused(infer, tiny_onnx, tmp_path):
    model = load(tiny_onnx)
    del model.metadata_props[:]
    save(model, tmp_path / "bare.onnx")
    infer(
        1,
        ["carries no clsbench card", f"clsbench adopt {tmp_path / 'bare.onnx'}", "clsbench export"],
        model=tmp_path / "bare.onnx",
    )


def test_a_graph_that_is_not_what_its_card_says_is_refused(infer, tiny_onnx, tmp_path):
    model = load(tiny_onnx)
    model.metadata_props[0].value = model.metadata_props[0].value.replace('"green"', '"green", "grey"')
    save(model, tmp_path / "other.onnx")
    infer(1, ["not what its card says", "(N, 4)"], model=tmp_path / "other.onnx")


def test_a_class_folder_the_model_does_not_know(infer, val, tmp_path):
    (val / "red").rename(val / "rde")
    infer(1, ["does not know: rde", "red, green, blue", "did you mean 'red'?", "--unknown-labels ignore"])
    infer(0, ["left unlabelled", "rde"], "--unknown-labels", "ignore", "--out", "preds.csv")
    found = rows(tmp_path / "preds.csv")
    assert (found["rde/0.png"]["label"], found["rde/0.png"]["predicted"]) == ("", "red")
    assert found["blue/0.png"]["label"] == "blue"


def test_folders_that_are_no_classes_mean_no_accuracy(infer, val):
    for colour in ("red", "green", "blue"):
        (val / colour).rename(val / f"of-{colour}")
    done = infer(0, ["no accuracy", "of-red"])
    assert "warning: no accuracy" in done.stderr
    assert "correct" not in done.stdout


@pytest.mark.parametrize(("driver", "words"), [(None, ["driver"]), (Driver((13, 0)), ["no device"])])
def test_cuda_is_never_replaced_by_the_cpu(refused, val, tiny_onnx, monkeypatch, tmp_path, driver, words):
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    monkeypatch.setattr(devices, "find_driver", lambda: driver)
    arguments = ["infer", val, "--model", tiny_onnx, "--out", "preds.csv"]
    refused(1, ["cannot be used", "--device", "to do:", *words], *arguments, "--device", "cuda")
    assert not (tmp_path / "preds.csv").exists()
    refused(0, ["running on the CPU", *words], *arguments, "--device", "auto")


def test_an_onnxruntime_without_cuda_says_what_to_install(refused, val, tiny_onnx, monkeypatch):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    words = ["cannot be used", "built without", "pip install 'clsbench[cuda]'"]
    refused(1, words, "infer", val, "--model", tiny_onnx, "--device", "cuda")


def test_export_without_a_run(refused):
    refused(1, ["there is no run yet", "clsbench train"], "export")
    refused(1, ["there is no run 'mine'"], "export", "mine")


@pytest.mark.parametrize("arguments", [["infer", "photos/val"], ["inspect"]])
def test_no_model_has_been_exported_yet(refused, photos, arguments):
    refused(1, ["no exported model yet", "clsbench export"], *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "preds"], ["the suffix of --out", "preds", ".csv, .jsonl or .parquet"]),
        (["--out", "preds.xlsx"], ["unknown writer 'xlsx'", "csv, jsonl, parquet", "the suffix of --out"]),
        (["--out", "preds.parquet", "--escape-formulas"], ["parquet has no option", "leave it out"]),
        (["--device", "tpu"], ["unknown device", "auto, cpu, cuda"]),
        (["--backend", "onnxruntim"], ["unknown backend", "did you mean onnxruntime"]),
        (["--metric", "acuracy"], ["unknown metric", "did you mean accuracy"]),
        (["--decoder", "pilow"], ["unknown decoder", "did you mean pillow"]),
        (["--unknown-labels", "guess"], ["--unknown-labels", "guess"]),
        (["--batch-size", "0"], ["--batch-size"]),
        (["--with", "backend.thread=2"], ["no option 'thread'", "did you mean backend.threads?"]),
        (["--with", "backend.threads=0"], ["threads must be at least 1"]),
        (["--with", "threads=2"], ["--with", "KIND.KEY=VALUE"]),
        (["--with", "model.width=2"], ["model.width"]),
        (["--with", "decoder.speed=2"], ["decoder.speed"]),
        (["--frobnicate"], ["--frobnicate"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_wrong_usage_of_infer_exits_with_two(infer, tmp_path, arguments, words):
    infer(2, words, *arguments)
    assert not list(tmp_path.glob("preds*"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("file,class\nred/0.png,red\n", ["lacks a column", "file, class", "path,label"]),
        ("", ["lacks a column"]),
        ("path,label\n", ["no path in the labels file"]),
        ("path,label\n/abs/red/0.png,red\n", ["no path in the labels file", "relative to the folder"]),
        (
            "path,label\nred/0.png,red\nred/0.png,blue\n",
            ["two labels", "labels.csv:3", "red/0.png: 'red' and 'blue'", "keep the line"],
        ),
        ("path,label\nred/0.png,rde\n", ["does not know: rde", "did you mean 'red'?"]),
        (b"path,label\nred/0.png,r\xe9d\n", ["cannot be read", "labels.csv"]),
        (None, ["cannot be read", "labels.csv"]),
    ],
    ids=["columns", "empty", "no rows", "other paths", "two labels", "unknown class", "not UTF-8", "no such file"],
)
def test_a_bad_labels_file(infer, tmp_path, content, words):
    if content is not None:
        (tmp_path / "labels.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    infer(1, words, "--labels", "labels.csv", "--out", "preds.csv")
    assert not (tmp_path / "preds.csv").exists()


def test_a_label_given_twice_alike_is_no_error(infer, tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\nred/0.png,red\nred/0.png,red\nred/1.jpg\nred/1.jpg\n")
    infer(0, [], "--labels", "labels.csv")


def test_images_without_a_label_in_the_file_are_counted(infer, tmp_path):
    (tmp_path / "labels.csv").write_text("path,label\nred/0.png,red\n")
    infer(0, ["5 images without a label"], "--labels", "labels.csv")


PLUGIN = """
    from clsbench import Component, hookimpl

    def build(path, card, *, topk: int = 0):
        raise KeyError("gone")

    @hookimpl
    def register_writers():
        yield Component("tape", build)
"""


def test_a_failing_plugin_is_named_with_its_distribution(infer, fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)
    infer(1, ["acme/tape failed", "clsbench-acme 1.0", "KeyError: 'gone'"], "--out", "preds.tape")


def test_an_ambiguous_plugin_name_lists_the_qualified_ones(infer, fake_distribution):
    fake_distribution("clsbench-left", PLUGIN)
    fake_distribution("clsbench-right", PLUGIN)
    infer(1, ["several plugins", "left/tape", "right/tape", "to do:"], "--out", "preds.tape")


def test_a_broken_plugin_is_quoted_when_its_name_is_missed(infer, fake_distribution):
    fake_distribution("clsbench-acme", "import surely_not_installed")
    infer(2, ["unknown writer 'tape'", "clsbench-acme", "surely_not_installed"], "--out", "preds.tape")


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_a_folder_where_a_file_should_be_written_is_refused(infer, tmp_path, option):
    (tmp_path / "taken.csv").mkdir()
    infer(1, ["taken.csv"], option, "taken.csv")


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_a_file_where_a_folder_should_be_is_refused(infer, tmp_path, option):
    (tmp_path / "taken").touch()
    infer(1, ["taken/preds.csv"], option, "taken/preds.csv")


@pytest.mark.parametrize("arguments", [[], ["frobnicate"]])
def test_no_command_or_an_unknown_one_is_wrong_usage(refused, arguments):
    refused(2, arguments, *arguments)


def test_the_demo_never_empties_a_folder_that_is_not_its_own(refused, photos):
    refused(2, ["photos"], "demo", "--folder", photos)
    assert (photos / "val").is_dir()


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (2, ["show", "mine"], ["a run", "--run mine"]),
        (2, ["train", "runs/mine"], ["a run", "--weights runs/mine"]),
        (2, ["datasets", "mine"], ["a run", "--run mine"]),
        (1, ["report", "runs/mine"], ["clsbench evaluate runs/mine --html report.html"]),
        (2, ["evaluate", "model.onnx"], ["predictions file", "clsbench infer IMAGES --out preds.csv"]),
        (1, ["train", "--weights", "nowhere"], ["does not exist", "a run: mine"]),
        (2, ["datasets", "nowhere"], ["unknown dataset", "digits", "no folder or file has this name either"]),
        (1, ["inspect", "mine"], ["not been exported", "clsbench export runs/mine"]),
    ],
)
def test_a_run_in_the_place_of_something_else_is_told_where_it_belongs(refused, tmp_path, code, arguments, words):
    (tmp_path / "runs/mine").mkdir(parents=True)
    (tmp_path / "runs/mine/run.json").touch()
    (tmp_path / "model.onnx").touch()
    refused(code, words, *arguments)


def test_a_folder_of_images_may_have_the_name_of_a_run(cli, paint, tmp_path):
    (tmp_path / "runs/photos").mkdir(parents=True)
    (tmp_path / "runs/photos/run.json").touch()
    assert cli("datasets", paint("photos/{colour}/{k}.png", 2).name).code == 0
