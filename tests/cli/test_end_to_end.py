import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.inference import devices
from clsbench.models.simple_cnn import build

CLASSES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    """Where the first test leaves its run for the others: the generated photos are always the same."""
    return tmp_path_factory.mktemp("trained") / "files"


@pytest.fixture
def run(cli, photos, trained_once):
    """Train on the generated photos and export; the current folder holds runs/ and both JSON files."""
    here = photos.parent
    if not trained_once.exists():
        arguments = ("train", photos, "--epochs", 2, "--batch-size", 4, "--with", "model.size=16", "--run", "e2e")
        trained = cli(*arguments, "--json", "json/train.json")
        assert trained.code == 0, trained.stderr
        exported = cli("export", "--onnx", "--json", "json/export.json")
        assert exported.code == 0, exported.stderr
        shutil.copytree(here, trained_once, symlinks=True, ignore=shutil.ignore_patterns("photos"))
    else:
        shutil.copytree(trained_once, here, symlinks=True, dirs_exist_ok=True)
    return here / "runs" / "e2e"


@pytest.fixture
def network(run):
    """The trained network, from its weights alone."""
    classifier = build(len(CLASSES), size=16)
    classifier.load_state_dict(load_file(run / "best.safetensors"))
    return classifier.eval()


def classify(network, folder):
    """name -> probabilities, by torch on what the one path for pixels gives."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))
    loader = ImageLoader(network.transform)
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.stack([loader(FileEntry("", str(file))) for file in files])))
    names = [file.relative_to(folder).as_posix() for file in files]
    return dict(zip(names, logits.softmax(1).numpy(), strict=True))


def infer(cli, folder, suffix="csv", *more):
    done = cli("infer", folder, "--out", f"preds.{suffix}", "--overwrite", "--json", "facts.json", *more)
    assert done.code == 0, done.stderr
    with open("facts.json", encoding="utf-8") as file:
        return rows(f"preds.{suffix}"), json.load(file)


def rows(file):
    if file.endswith(".parquet"):
        return pyarrow.parquet.read_table(file).to_pylist()
    with open(file, encoding="utf-8", newline="") as lines:
        if file.endswith(".jsonl"):
            return [json.loads(line) for line in lines]
        return list(csv.DictReader(lines))


def test_the_exported_file_says_what_the_trained_network_says(cli, photos, network):
    predicted, _ = infer(cli, photos / "val")
    want = classify(network, photos / "val")
    assert [row["path"] for row in predicted] == list(want)
    for row in predicted:
        assert row["predicted"] == CLASSES[want[row["path"]].argmax()]
        assert float(row["confidence"]) == pytest.approx(want[row["path"]].max(), abs=1e-4)


def test_inference_reports_the_accuracy_that_training_reported(cli, photos, run):
    predicted, facts = infer(cli, photos / "val")
    with open("json/train.json", encoding="utf-8") as file:
        trained = json.load(file)
    assert facts["metrics"]["top1"]["value"] == pytest.approx(trained["result"]["val_accuracy"])
    correct = [row["path"].split("/")[0] == row["predicted"] for row in predicted]
    assert facts["metrics"]["top1"]["value"] == pytest.approx(np.mean(correct))


def test_the_facts_have_the_documented_keys(cli, photos, run):
    _, facts = infer(cli, photos / "val")
    top1 = facts["metrics"]["top1"]
    assert 0 <= top1["low"] <= top1["value"] <= top1["high"] <= 1
    assert (facts["counts"]["total"], facts["counts"]["ok"], facts["counts"]["errors"]) == (6, 6, 0)
    assert facts["throughput"]["images_per_second"] > 0
    assert facts["device"]["provider"].endswith("ExecutionProvider")
    assert tuple(facts["model"]["card"]["classes"]) == CLASSES
    with open("preds.csv.json", encoding="utf-8") as file:
        assert json.load(file)["metrics"] == facts["metrics"]


def test_json_on_stdout_is_json_alone(cli, photos, run):
    done = cli("infer", photos / "val", "--json", "-")
    assert json.loads(done.stdout)["counts"]["total"] == 6


def test_the_three_formats_agree(cli, photos, run):
    as_csv, as_jsonl, as_parquet = (infer(cli, photos / "val", s, "--topk", 2)[0] for s in ("csv", "jsonl", "parquet"))
    assert as_jsonl == as_parquet
    text = {None: "", True: "true", False: "false"}
    as_text = [{k: v if isinstance(v, str) else text.get(v, str(v)) for k, v in row.items()} for row in as_jsonl]
    assert [list(row) for row in as_csv] == [list(row) for row in as_jsonl]
    for row, other in zip(as_csv, as_text, strict=True):
        numbers = [name for name in row if name in ("confidence", "label_confidence", "p1", "p2")]
        assert [float(row.pop(name)) for name in numbers] == [float(other.pop(name)) for name in numbers]
        assert row == other


def test_an_unreadable_picture_is_a_row_with_a_reason_and_moves_no_other(cli, photos, network):
    whole, _ = infer(cli, photos / "val")
    broken = photos / "val" / "green" / "0_broken.jpg"
    broken.write_bytes((photos / "val" / "green" / "1.jpg").read_bytes()[:200])
    predicted, facts = infer(cli, photos / "val")
    names = [row["path"] for row in predicted]
    assert names == sorted(names)
    assert names.index("green/0_broken.jpg") == 3
    row = predicted.pop(3)
    assert row["error"]
    assert (row["label"], row["predicted"], row["confidence"], row["correct"]) == ("green", "", "", "")
    assert predicted == whole
    assert (facts["counts"]["total"], facts["counts"]["ok"], facts["counts"]["errors"]) == (7, 6, 1)
    assert facts["metrics"]["top1"]["total"] == 6


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_batches_change_nothing(cli, photos, run, batch_size):
    (photos / "val" / "blue" / "broken.png").write_bytes(b"text")
    assert infer(cli, photos, "csv", "--batch-size", batch_size)[0] == infer(cli, photos)[0]


def test_the_reference_backend_gives_the_same_rows(cli, photos, run):
    fast, facts = infer(cli, photos / "val", "jsonl")
    slow, reference = infer(cli, photos / "val", "jsonl", "--backend", "onnx-reference")
    assert reference["device"]["provider"] != facts["device"]["provider"]
    for row, other in zip(fast, slow, strict=True):
        assert (row["path"], row["predicted"]) == (other["path"], other["predicted"])
        assert row["confidence"] == pytest.approx(other["confidence"], abs=1e-5)


def test_one_picture_can_be_classified(cli, photos, network):
    predicted, facts = infer(cli, photos / "val" / "red" / "0.png")
    want = classify(network, photos / "val")["red/0.png"]
    assert [(row["path"], row["predicted"]) for row in predicted] == [("0.png", CLASSES[want.argmax()])]
    assert facts["metrics"] == {}


def test_class_folders_in_another_order_or_missing_are_matched_by_name(cli, photos, run):
    before = {row["path"]: row["correct"] for row in infer(cli, photos / "val")[0]}
    shutil.rmtree(photos / "val" / "blue")
    predicted, facts = infer(cli, photos / "val")
    assert {row["path"]: row["correct"] for row in predicted} == {k: v for k, v in before.items() if "blue" not in k}
    assert any("blue" in note for note in facts["labels"]["notes"])


def test_a_renamed_class_folder_is_an_error_and_writes_nothing(cli, photos, run):
    (photos / "val" / "red").rename(photos / "val" / "reds")
    done = cli("infer", photos / "val", "--out", "preds.csv")
    assert done.code == 1
    assert "did you mean 'red'" in done.stderr
    assert not (photos.parent / "preds.csv").exists()


def test_nothing_but_unreadable_pictures_ends_with_code_3_and_a_row_for_each(cli, photos, run):
    folder = photos.parent / "broken"
    folder.mkdir()
    for k in range(3):
        (folder / f"{k}.png").write_bytes(b"text")
    assert cli("infer", folder, "--out", "preds.csv").code == 3
    assert [row["path"] for row in rows("preds.csv")] == ["0.png", "1.png", "2.png"]


def test_folder_names_that_are_not_utf8_get_their_predictions_and_manifest(cli, photos, run):
    folder = photos.parent / "caf\udce9"
    shutil.copytree(photos / "val", folder)
    done = cli("infer", folder, "--out", "preds.jsonl")
    assert done.code == 0, done.stderr
    assert len(rows("preds.jsonl")) == 6
    with open("preds.jsonl.json", encoding="utf-8", errors="surrogateescape") as file:
        assert json.load(file)["images"] == str(folder)


def test_a_damaged_exif_block_puts_no_python_warning_on_the_screen(photos, tiny_onnx):
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a description that is cut off" * 5, 6
    for file in photos.rglob("*.jpg"):
        Image.open(file).save(file, exif=exif.tobytes()[:40])
    command = [sys.executable, "-c", "from clsbench.cli.main import run; run()", "infer", photos, "--model", tiny_onnx]
    done = subprocess.run(command, capture_output=True, text=True, cwd=photos.parent, check=True)
    assert "Warning" not in done.stderr


def test_an_exported_run_knows_where_it_comes_from_but_not_where_the_photos_were(run):
    with open("json/export.json", encoding="utf-8") as file:
        facts = json.load(file)
    assert facts["parity"]["passed"] is True
    assert facts["card"]["training"]["run"] == "e2e"
    assert facts["card"]["model"]["name"].endswith("simple-cnn")
    root = json.loads(run.joinpath("run.json").read_text(encoding="utf-8"))["data"]["root"]
    assert root.endswith("photos")
    assert root.encode() not in (run / "model.onnx").read_bytes()


def test_the_gate_of_export_runs_on_the_device_that_is_to_infer(cli, run, monkeypatch):
    monkeypatch.setattr(devices, "missing_for", lambda kind: devices.Missing("no luck", "pip install luck"))
    done = cli("export", "--onnx", "--gate-n", 2, "--out", "gpu.onnx", "--device", "cuda")
    assert done.code == 1
    assert "cuda cannot be used" in done.stderr
    assert not Path("gpu.onnx").exists()


def test_export_without_the_runs_pictures_asks_for_others(cli, photos, run):
    config = json.loads((run / "run.json").read_text())
    config["data"]["root"] = str(photos.parent / "gone")
    (run / "run.json").write_text(json.dumps(config))
    done = cli("export", "--onnx")
    assert done.code == 1
    assert "cannot be read" in done.stderr
    assert "--gate-images" in done.stderr
    assert cli("export", "--onnx", "--images", photos / "val", "--gate-n", 2).code == 0  # its former name
    assert (
        json.loads(cli("export", "--onnx", "--gate-images", photos / "val", "--json", "-").stdout)["parity"]["images"]
        == 6
    )


@pytest.mark.parametrize(("code", "seconds"), [(130, 60), (143, 60), (1, 0)])
def test_after_an_interrupt_no_thread_is_waited_for(code, seconds):
    program = f"""
import threading, time
from clsbench.cli import main
def execute(arguments):
    print("interrupted")
    threading.Thread(target=time.sleep, args=({seconds},)).start()
    return {code}
main.execute = execute
main.run()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "interrupted\n", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_with_its_code_and_leaves_no_file_that_looks_whole(tmp_path, tiny_onnx, number, code):
    folder = tmp_path / "many"
    folder.mkdir()
    Image.new("RGB", (2000, 2000)).save(folder / "0.png")
    for k in range(1, 900):
        (folder / f"{k}.png").hardlink_to(folder / "0.png")
    out = tmp_path / "preds.csv"
    command = [sys.executable, "-c", "from clsbench.cli.main import run; run()", "infer", folder, "--model", tiny_onnx]
    job = subprocess.Popen(
        [*command, "--out", out],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and so perhaps this test, are born deaf to the interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while job.poll() is None and not list(tmp_path.glob("preds.csv.*.partial")):
        time.sleep(0.02)
    job.send_signal(number)
    _, messages = job.communicate(timeout=60)
    assert job.returncode == code
    first, kept, last = messages.splitlines()[-3:]
    assert (first, last) == ("interrupted", f"  {out} was not written")
    assert ("nothing is kept" in kept) == (not list(tmp_path.glob("*.ledger")))
    assert "Traceback" not in messages
    assert not out.exists()
    assert not list(tmp_path.glob("*.partial"))
