"""Images that cannot be classified: told by reason, within a budget or not; and how a long job reports on itself."""

import json

import pytest

from clsbench import infer
from clsbench.cli import progress
from clsbench.errors import REASONS, DataError, OptionError


@pytest.fixture
def damaged(photos):
    """Six good images and one for each of several reasons."""
    folder = photos / "val"
    good = (folder / "red" / "0.png").read_bytes()
    (folder / "red" / "torn.png").write_bytes(good[:60])
    (folder / "red" / "torn2.png").write_bytes(good[:70])
    (folder / "red" / "empty.jpg").touch()
    (folder / "red" / "text.png").write_text("hello")
    (folder / "red" / "gone.png").symlink_to("nowhere")
    (folder / "notes.txt").write_text("hello")
    return folder


def test_each_reason_is_counted_with_examples(cli, damaged, tiny_onnx, tmp_path):
    done = cli("infer", damaged, "--model", tiny_onnx, "--out", tmp_path / "p.csv", "--json", tmp_path / "f.json", "-q")
    assert done.code == 0, done.stderr
    facts = json.loads((tmp_path / "f.json").read_text())
    failures = facts["failures"]
    assert {reason: part["count"] for reason, part in failures.items()} == {
        "truncated": 2, "missing": 1, "empty": 1, "not_an_image": 1
    }  # fmt: skip
    assert next(iter(failures)) == "truncated"
    assert failures["truncated"]["meaning"] == REASONS["truncated"]
    assert [one["path"] for one in failures["truncated"]["examples"]] == ["red/torn.png", "red/torn2.png"]
    assert facts["counts"]["errors"] == 5
    assert facts["skipped"] == [
        {"reason": "not an image by its first bytes", "count": 1, "suffixes": {".txt": 1}, "names": ["notes.txt"]}
    ]
    assert json.loads((tmp_path / "p.csv.json").read_text())["failures"] == failures


def test_the_reasons_are_a_table_of_a_large_job(cli, damaged, tiny_onnx):
    for k in range(20):
        (damaged / f"{k}.png").write_bytes((damaged / "red" / "0.png").read_bytes())
    done = cli("infer", damaged, "--model", tiny_onnx, "--labels", "none")
    assert done.code == 0
    table = done.stdout[done.stdout.index("Not classified") :]
    for words in ("truncated", "red/torn.png", "red/torn2.png", "empty", "red/gone.png", "not_an_image"):
        assert words in table


@pytest.mark.parametrize(("rate", "code"), [(0.5, 0), (5 / 11, 0), (0.4, 3), (0, 3)])
def test_more_failures_than_allowed_are_exit_3_and_the_file_is_complete(cli, damaged, tiny_onnx, tmp_path, rate, code):
    options = ("--labels", "none", "--out", tmp_path / "p.csv")
    done = cli("infer", damaged, "--model", tiny_onnx, "--max-failure-rate", rate, *options)
    assert done.code == code
    assert ("5 of 11 images could not be classified, more than" in done.stderr) == (code == 3)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 12


def test_an_error_may_end_the_job(damaged, tiny_onnx, tmp_path):
    out = tmp_path / "p.csv"
    with pytest.raises(DataError, match="an image cannot be classified") as error:
        infer(damaged, model=tiny_onnx, labels="none", on_error="fail", out=out)
    assert "--on-error fail" in str(error.value)
    assert not list(tmp_path.glob("p.csv*"))
    infer(damaged, model=tiny_onnx, labels="none", out=out)
    with pytest.raises(DataError, match="images cannot be classified"):  # a finished job is no better
        infer(damaged, model=tiny_onnx, labels="none", on_error="fail", out=out, resume=True)
    out.unlink()
    out.with_name("p.csv.json").unlink()
    for name in ("torn.png", "torn2.png", "empty.jpg", "text.png", "gone.png"):
        (damaged / "red" / name).unlink()
    assert infer(damaged, model=tiny_onnx, labels="none", on_error="fail", out=out).within_budget


@pytest.mark.parametrize("options", [{"max_failure_rate": 1.5}, {"max_failure_rate": -1}, {"on_error": "ignore"}])
def test_senseless_budgets_are_refused(damaged, tiny_onnx, options):
    with pytest.raises(OptionError):
        infer(damaged, model=tiny_onnx, **options)


def test_a_pipe_hears_lines_of_progress_unless_quiet(cli, photos, tiny_onnx, monkeypatch):
    monkeypatch.setattr(progress, "LINES", -1.0)
    arguments = ("infer", photos, "--model", tiny_onnx, "--labels", "none", "--executor", "serial")
    lines = [line for line in cli(*arguments).stderr.splitlines() if line.startswith("images: ")]
    assert lines[0].startswith("images: 1 of 18 (5.6%), ")
    assert lines[0].endswith(" left")
    assert len(lines) == 18
    assert "images: " not in cli(*arguments, "--quiet").stderr


def test_a_link_to_an_endless_device_is_a_row(photos, tiny_onnx):
    (photos / "val" / "red" / "zero.jpg").symlink_to("/dev/zero")
    (row,) = infer(photos / "val" / "red" / "zero.jpg", model=tiny_onnx).to_arrow().to_pylist()
    assert (row["reason"], row["error"]) == ("unreadable", "the file cannot be read: it is a device")
