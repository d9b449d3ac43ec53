"""No command destroys what it reads, or writes two results to one file; and nothing is begun before that is known."""

import hashlib
from pathlib import Path

import pytest


@pytest.fixture
def here(cli, photos, tiny_onnx):
    """The current folder with a model, photos, predictions of them, a list, a table and labels."""
    Path("m.onnx").write_bytes(tiny_onnx.read_bytes())
    Path("list.txt").write_text("photos/val/red/0.png\nlist.csv\n")
    Path("table.csv").write_text("path,label\nphotos/val/red/0.png,red\nphotos/val/blue/0.png,blue\n")
    assert cli("infer", photos, "--model", "m.onnx", "--out", "p.csv").code == 0
    assert cli("infer", photos, "--model", "m.onnx", "--out", "q.jsonl").code == 0
    Path("alias").hardlink_to("m.onnx")
    return photos.parent


IMAGE = "photos/val/red/0.png"

COMMANDS = [
    "infer photos --model m.onnx --out new.csv --json new.csv",
    "infer photos --model m.onnx --out new.csv --json ./new.csv.json",
    "infer photos --model m.onnx --json m.onnx",
    "infer photos --model m.onnx --json alias",
    f"infer photos --model m.onnx --json {IMAGE}",
    f"infer photos --model m.onnx --out {IMAGE} --format csv --overwrite",
    "infer list.txt --model m.onnx --out list.txt --format csv --overwrite",
    "infer list.txt --model m.onnx --out list.csv --overwrite",
    "infer photos --model m.onnx --labels table.csv --out table.csv --overwrite",
    "infer table.csv --dataset csv --model m.onnx --out table.csv --overwrite",
    "evaluate p.csv --html p.html --json p.html",
    "evaluate p.csv --json p.csv",
    "evaluate p.csv --json p.csv.json",
    "evaluate p.csv --labels table.csv --json table.csv",
    "evaluate p.csv --json m.onnx",
    f"evaluate p.csv --json {IMAGE}",
    "evaluate p.csv --plots . --json confusion.png",
    "report p.csv --json p.csv.json",
    "report p.csv --out p.html --json p.html",
    "compare p.csv q.jsonl --json q.jsonl",
    f"compare p.csv q.jsonl --plot {IMAGE}",
    "show p.csv --pick random --json p.csv",
    f"show p.csv --pick random --out {IMAGE}",
    f"show photos --out {IMAGE}",
    "show photos --json images.png",
    f"show photos --model m.onnx --out {IMAGE}",
    "show photos --model m.onnx --json m.onnx",
    "show table.csv --json table.csv",
    "bench m.onnx --json m.onnx",
    f"bench m.onnx --images photos --json {IMAGE}",
    "inspect m.onnx --json m.onnx",
    "datasets csv table.csv --json table.csv",
    f"datasets folder photos --json {IMAGE}",
    f"doctor --json {IMAGE}",
    f"models --json {IMAGE}",
    f"plugins list --json {IMAGE}",
    "train table.csv --json table.csv",
    f"train photos --json {IMAGE}",
    f"find-lr photos --out {IMAGE}",
    "find-lr photos --json find-lr.png",
    f"probe photos --models resnet18 --plot {IMAGE}",
    f"probe photos --models resnet18 --json {IMAGE}",
]


def content(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


def test_no_command_destroys_what_it_reads(cli, here):
    before, wrong = content(here), []
    for command in COMMANDS:
        done = cli(*command.split())
        if done.code != 1 or "would " not in done.stderr or content(here) != before:
            wrong.append((command, done.code, done.stderr))
    assert not wrong


def test_a_run_is_not_overwritten_by_what_is_said_of_it(refused, trained, without_curves, photos):
    trained(photos, "--epochs", 1, "--run", "mine", "--with", "model.size=16", "--with", "model.width=4")
    before = content(photos.parent / "runs" / "mine")
    for command in [
        "evaluate mine --json runs/mine/run.json",
        "runs --json runs/mine/run.json",
        "export mine --json runs/mine/run.json",
        "export mine --out runs/mine/m.onnx --json runs/mine/m.onnx",
        "datasets --run mine --json runs/mine/run.json",
        "show --run mine --out runs/mine/curves.png",
        "train photos --run new --json runs/new/run.json",
        "train photos --weights mine --json runs/mine/best.safetensors",
    ]:
        refused(1, ["would"], *command.split())
    assert content(photos.parent / "runs" / "mine") == before


def test_a_name_that_leaves_no_room_for_the_manifest(refused, here):
    words = ["the manifest cannot be written", "File name too long", "choose a shorter name"]
    refused(1, words, "infer", IMAGE, "--model", "m.onnx", "--out", f"{'a' * 250}.csv")
    refused(1, ["the JSON cannot be written"], "infer", IMAGE, "--model", "m.onnx", "--json", "a" * 256)


def test_an_earlier_output_of_infer_stays_unless_it_may_be_replaced(refused, cli, here):
    before = Path("p.csv").read_bytes()
    command = ["infer", IMAGE, "--model", "m.onnx", "--out", "p.csv"]
    refused(1, ["there already", "p.csv", "--overwrite"], *command)
    assert Path("p.csv").read_bytes() == before
    assert cli(*command, "--overwrite").code == 0
    assert Path("p.csv").read_bytes() != before
    Path("p.csv").unlink()
    refused(1, ["there already", "p.csv.json"], *command)  # the manifest of something
