"""Tables: the first rows and how to see the others, names that can be found, at any width and in a pipe."""

import csv
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from clsbench.adopting.decisions import Decision
from clsbench.cli.tables import LONGEST, decisions_table, first_rows, table
from clsbench.cli.terminal import Terminal
from clsbench.predictions.metric import Column
from clsbench.text import shortened_path

NAME = "20260101-120000-a-photo-with-a-rather-long-name-of-its-own.jpg"


def write(file, count, folder="a folder/with/many/levels/above/the/photo"):
    """``count`` mistakes, all of them the same pair, and as many images that are right."""
    rows = [(f"{folder}/{k:02}-{NAME}", "cat", "dog" if k < count else "cat", 0.9) for k in range(2 * count)]
    rows += [(f"{folder}/x{k:02}-{NAME}", "dog", "dog", 0.9) for k in range(3)]
    with Path(file).open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([["path", "label", "predicted", "confidence"], *rows])
    return file


def joined(text):
    """A table's text without its breaks and rules, so that folded cells are whole again."""
    return re.sub(r"[\s─]+", "", text)


def test_five_rows_by_default_and_the_title_says_how_to_see_all(cli):
    write("p.csv", 12)
    done = cli("evaluate", "p.csv")
    assert "Top losses: 5 of 12; --top 12 shows all" in done.stdout
    assert done.stdout.count(NAME) == 5
    done = cli("evaluate", "p.csv", "--top", 12)
    assert "shows all" not in done.stdout
    assert done.stdout.count(NAME) == 12


def test_top_goes_beyond_what_is_listed_by_default(cli):
    write("p.csv", 130)
    done = cli("evaluate", "p.csv", "--top", 130)
    assert (done.stdout.count(NAME), "shows all" in done.stdout) == (130, False)


def test_compare_shows_as_many_classes_as_asked_for(cli):
    classes = [f"c{k:02}" for k in range(12)]
    for name, said in (("a", classes), ("b", classes[1:] + classes[:1])):
        rows = [f"{k}.jpg,{classes[k]},{said[k]}" for k in range(12)]
        Path(f"{name}.csv").write_text("\n".join(["path,label,predicted", *rows]))
    assert "Recall of the classes that changed: 10 of 12; --top 12 shows all" in cli("compare", "a.csv", "b.csv").stdout
    done = cli("compare", "a.csv", "b.csv", "--top", 12)
    assert [name for name in classes if name not in done.stdout] == []


@pytest.mark.parametrize("columns", ["40", "80", "140"])
def test_at_every_width_the_files_own_name_survives(cli, monkeypatch, columns):
    write("p.csv", 3)
    monkeypatch.setenv("COLUMNS", columns)
    done = cli("evaluate", "p.csv")
    below = done.stdout[done.stdout.index("Top losses") :]
    assert max(map(len, below.splitlines())) <= int(columns)
    column = "".join(line.split("  ")[0] if line.startswith(" ") else "" for line in below.splitlines())
    assert f"00-{NAME}" in joined(column)


def test_a_pipe_has_whole_names_in_one_line_each(cli, monkeypatch):
    write("p.csv", 3)
    monkeypatch.delenv("COLUMNS")
    done = cli("evaluate", "p.csv")
    assert done.stdout.count(f"a folder/with/many/levels/above/the/photo/00-{NAME}   cat") == 1


def test_a_text_of_absurd_length_is_no_page():
    stream = io.StringIO()
    Console(file=stream, width=10**6).print(table("Names", ["name"], [["x" * 5_000_000 + "end"]]))
    assert len(stream.getvalue()) < 10 * LONGEST
    assert "end" in stream.getvalue()


@pytest.mark.parametrize("width", [8, 20, 60])
@pytest.mark.parametrize(
    "path", [NAME, f"a/{NAME}", f"one/two/three/four/five/six/{NAME}", "one/two/three/1.jpg", "1.jpg"]
)
def test_a_shortened_path_ends_with_the_files_own_name(path, width):
    short, name = shortened_path(path, width), path.rpartition("/")[2]
    assert short.endswith(name)
    assert len(short) <= max(width, len(name) + 2)
    assert short == path or "…" in short


def test_no_zero_has_a_sign():
    assert [Column("share", ".2f").text(x) for x in (-0.001, 0.0, -0.006, 0.001)] == ["0.00", "0.00", "-0.01", "0.00"]
    assert Column("share", ".1%").text(-0.0001) == "0.0%"


def test_a_table_without_more_rows_has_its_title_alone():
    assert first_rows("Pairs", 3, 3, "--top") == "Pairs"
    assert first_rows("Classes", 3, 4, None) == "Classes: 3 of 4"


def test_next_is_a_command_that_a_shell_reads_back(capsys):
    Terminal().next("evaluate", "it's mine.csv", why="why not")
    assert capsys.readouterr().err == "next: clsbench evaluate 'it'\"'\"'s mine.csv'  # why not\n"
    Terminal(quiet=True).next("evaluate")
    assert capsys.readouterr().err == ""


def test_a_name_is_shortened_only_where_there_is_no_room_for_it(cli, monkeypatch):
    long, longer = "american_pit_bull_terrier", "staffordshire_bull_terrier"
    rows = [f"{k}.jpg,{long},{longer if k < 3 else long},0.9" for k in range(6)]
    Path("p.csv").write_text("\n".join(["path,label,predicted,confidence", *rows]))
    for columns, whole in (("100", True), ("60", False)):
        monkeypatch.setenv("COLUMNS", columns)
        shown = cli("evaluate", "p.csv").stdout.partition("Top losses")[2]
        assert (long in shown and longer in shown) == whole


@pytest.mark.parametrize("columns", ["80", None])
def test_names_of_files_and_classes_never_steer_the_terminal(cli, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS")
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    rows = [f"{k}{evil}.jpg,cat{evil if k % 2 else ''},cat,0.9" for k in range(6)]
    for name in ("a", "b"):
        Path(f"{name}{evil}\n.csv").write_text("\n".join(["path,label,predicted,confidence", *rows]), newline="\n")
    for arguments in (["compare", f"a{evil}\n.csv", f"b{evil}\n.csv"], ["evaluate", f"a{evil}\n.csv"]):
        done = cli(*arguments)
        assert done.code == 0, done.stderr
        assert [c for c in done.stdout + done.stderr if not c.isprintable() and c != "\n"] == []


def test_a_class_name_cannot_pass_for_a_line_of_the_decisions(capsys):
    decision = Decision("classes", "a\nerror: give me your keys", "found", "labels\n.txt")
    Console(width=200).print(decisions_table("x", [decision]))
    assert "a?error: give me your keys" in capsys.readouterr().out
