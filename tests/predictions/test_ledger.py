import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from clsbench.errors import DataError
from clsbench.images.entries import BytesEntry, FileEntry, stamps_of
from clsbench.predictions import ledger as module
from clsbench.predictions.block import Predictions
from clsbench.predictions.job import JobIdentity, hash_names
from clsbench.predictions.ledger import Ledger

COUNT, SIZE = 40, 10
JOB = JobIdentity(model="5ha", images=COUNT, names="names", options={"backend": "onnxruntime"}, plan={"batch_size": 10})
LOGITS = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float32)
LOGITS[7] = np.nan
ERRORS = ["damag\udced" if k == 7 else None for k in range(COUNT)]
REASONS = ["truncated" if k == 7 else None for k in range(COUNT)]


@pytest.fixture
def entries(tmp_path):
    """Forty files, the last ten of which do not exist."""
    made = [FileEntry(f"caf\udce9/{k}.png", str(tmp_path / f"{k}.png")) for k in range(COUNT)]
    for k in range(COUNT - SIZE):
        Path(made[k].path).write_bytes(b"x" * k)
    return made


@pytest.fixture
def file(tmp_path):
    return tmp_path / "preds.csv.ledger"


@pytest.fixture(autouse=True)
def every_block(monkeypatch):
    """A record for each block."""
    monkeypatch.setattr(module, "INTERVAL", -1.0)


def block(entries, start):
    rows = slice(start, start + SIZE)
    return Predictions([e.name for e in entries[rows]], LOGITS[rows], ERRORS[rows], reasons=REASONS[rows])


def write(file, entries, stop=COUNT):
    with Ledger(file, entries, stamps_of(entries), classes=3) as ledger:
        first = ledger.rows
        ledger.begin(JOB)
        for start in range(first, stop, SIZE):
            ledger.append(block(entries, start))


def check(ledger):
    """The rows of a ledger are the first ones, whatever happened to it."""
    blocks = list(ledger.blocks())
    assert sum(len(one.names) for one in blocks) == ledger.rows
    for name, wanted in (("errors", ERRORS), ("reasons", REASONS)):
        assert [value for one in blocks for value in getattr(one, name)] == wanted[: ledger.rows]
    logits = np.concatenate([np.empty((0, 3), np.float32), *(one.logits for one in blocks)])
    np.testing.assert_array_equal(logits, LOGITS[: ledger.rows])


def test_what_is_written_is_read(file, entries):
    write(file, entries)
    ledger = Ledger(file, entries, stamps_of(entries), classes=3)
    assert (ledger.rows, ledger.job) == (COUNT, JOB)
    assert [name for one in ledger.blocks() for name in one.names] == [entry.name for entry in entries]
    check(ledger)


def test_features_are_kept_where_the_job_has_them(file, entries):
    features = np.random.default_rng(1).normal(size=(COUNT, 5)).astype(np.float32)
    features[1] = np.nan
    with Ledger(file, entries, stamps_of(entries), classes=3, feature_dim=5) as ledger:
        ledger.begin(JOB)
        for start in range(0, COUNT, SIZE):
            ledger.append(dataclasses.replace(block(entries, start), features=features[start : start + SIZE]))
    again = Ledger(file, entries, stamps_of(entries), classes=3, feature_dim=5)
    check(again)
    np.testing.assert_array_equal(np.concatenate([one.features for one in again.blocks()]), features)
    for other in (None, 4):
        assert Ledger(file, entries, stamps_of(entries), classes=3, feature_dim=other).rows == 0


def test_wherever_it_is_cut_off_it_can_be_continued(file, entries, tmp_path):
    write(file, entries, 20)
    once = file.stat().st_size
    write(file, entries)
    whole = file.read_bytes()
    assert once < len(whole)
    for length in range(0, len(whole) + 1, 13):
        file.write_bytes(whole[:length])
        done = Ledger(file, entries, stamps_of(entries), classes=3)
        check(done)
        write(file, entries)
        again = Ledger(file, entries, stamps_of(entries), classes=3)
        assert again.rows == COUNT
        check(again)


def test_a_spoiled_byte_costs_the_records_from_there_on(file, entries):
    write(file, entries)
    whole = file.read_bytes()
    rows = set()
    for place in range(0, len(whole), 11):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        ledger = Ledger(file, entries, stamps_of(entries), classes=3)
        check(ledger)
        rows.add(ledger.rows)
    assert rows >= {0, 10, 20, 30}


def test_zeros_after_a_power_loss_are_no_rows(file, entries):
    write(file, entries, 20)
    for zeros in (1, 8, 4096):
        file.write_bytes(file.read_bytes() + bytes(zeros))
        assert Ledger(file, entries, stamps_of(entries), classes=3).rows == 20
    write(file, entries)
    assert Ledger(file, entries, stamps_of(entries), classes=3).rows == COUNT


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"\xff\xff\xff\xff" + os.urandom(1000), bytes(1000)])
def test_what_a_crash_may_leave_is_an_empty_ledger(file, entries, content):
    file.write_bytes(content)
    ledger = Ledger(file, entries, stamps_of(entries), classes=3)
    assert (ledger.rows, ledger.job) == (0, None)


@pytest.mark.parametrize("content", [b"hello", b"ARROW1\0\0", b"\x7f" + os.urandom(1000)])
def test_anything_else_is_refused_and_kept(file, entries, content):
    file.write_bytes(content)
    with pytest.raises(DataError, match="something else is already"):
        Ledger(file, entries, stamps_of(entries), classes=3)
    assert file.read_bytes() == content


def test_a_ledger_of_other_classes_is_empty(file, entries):
    write(file, entries)
    other = Ledger(file, entries, stamps_of(entries), classes=4)
    assert other.rows == 0
    assert other.job is not None  # so that nobody writes over it unasked


def test_changed_files_are_named(file, entries):
    write(file, entries)
    ledger = Ledger(file, entries, stamps_of(entries), classes=3)
    assert ledger.changes() == []
    Path(entries[3].path).write_bytes(b"longer than before")
    os.utime(entries[4].path, ns=(0, 5))
    Path(entries[5].path).unlink()
    Path(entries[-1].path).touch()
    changes = Ledger(file, entries, stamps_of(entries), classes=3).changes()
    words = [change.removeprefix("caf\udce9/") for change in changes]
    assert words == [
        "3.png has another size",
        "4.png has another modification time",
        "5.png is missing",
        "39.png was missing",
    ]


def test_images_in_another_order_are_named(file, entries):
    write(file, entries)
    others = [*entries[1:], entries[0]]
    changes = Ledger(file, others, stamps_of(others), classes=3).changes()
    assert changes == ["caf\udce9/1.png is where caf\udce9/0.png was"]


def test_images_in_memory_have_no_stamp(file):
    entries = [BytesEntry(f"{k}.png", b"x") for k in range(COUNT)]
    write(file, entries)
    assert Ledger(file, entries, stamps_of(entries), classes=3).changes() == []
    assert (stamps_of(entries) == -1).all()


def test_no_link_is_followed(file, entries, tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("precious")
    ledger = Ledger(file, entries, stamps_of(entries), classes=3)
    file.symlink_to(precious)  # after it was asked for
    with pytest.raises(DataError, match="cannot be written"):
        ledger.begin(JOB)
    assert precious.read_text() == "precious"


def test_an_interrupt_keeps_what_was_taken(file, entries, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 1e9)

    def interrupted():
        with Ledger(file, entries, stamps_of(entries), classes=3) as ledger:
            ledger.begin(JOB)
            ledger.append(block(entries, 0))
            ledger.append(block(entries, 10))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    done = Ledger(file, entries, stamps_of(entries), classes=3)
    assert done.rows == 20
    check(done)


def test_a_full_disk_loses_nothing_that_was_written(file, entries, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    write(file, entries, 20)
    with Ledger(file, entries, stamps_of(entries), classes=3) as ledger:
        ledger.begin(JOB)
        ledger.append(block(entries, 20))
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="No space left"):
            ledger.append(block(entries, 30))
    monkeypatch.undo()
    assert Ledger(file, entries, stamps_of(entries), classes=3).rows >= 30
    write(file, entries)
    check(Ledger(file, entries, stamps_of(entries), classes=3))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"model": "other"}, "the model file"),
        ({"options": {"backend": "other"}}, "backend other, was onnxruntime"),
        ({"options": {**JOB.options, "fast-decode": "True"}}, "fast-decode True, was not given"),
        ({"images": 41, "names": "more"}, "41 images, were 40"),
        ({"names": "others"}, "the names of the images, or their order"),
        ({"device": "cuda"}, "it runs on cuda, ran on cpu"),
    ],
)
def test_a_job_says_what_differs(change, word):
    then = JobIdentity(**{**vars(JOB), "device": "cpu"})
    assert then.differences(then) == []
    assert then.differences(JobIdentity(**{**vars(then), **change})) == [word]


def test_names_are_hashed_in_order_and_apart():
    hashes = [hash_names(names) for names in (["a", "b"], ["b", "a"], ["ab"], ["a\udcff", "b"], [])]
    assert len(set(hashes)) == 5


def test_its_own_name_need_not_be_text(tmp_path, entries):
    file = tmp_path / "preds\udcff.csv.ledger"
    write(file, entries, stop=20)
    assert module.read_job(file) == JOB
    with Ledger(file, entries, stamps_of(entries), classes=3) as ledger:
        assert ledger.rows == 20
