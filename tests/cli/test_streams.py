import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clsbench.cli import failures, streams
from clsbench.cli.streams import Output

PROGRAM = [sys.executable, "-c", "from clsbench.cli.main import run; run()"]

ENCODINGS = ["ascii", "latin-1", "cp437"]


@pytest.fixture
def pipe():
    streams.codecs.register_error(streams.HANDLER, streams._replaced)
    reader, writer = os.pipe()
    ends = {"reader": reader, "writer": writer}
    yield ends
    for end in ends.values():
        os.close(end)


def test_characters_that_the_encoding_lacks_are_replaced_visibly(pipe):
    output = Output(pipe["writer"], "ascii", interactive=False)
    output.write("café → 90 – 95 % … “日本”")
    output.flush()
    assert os.read(pipe["reader"], 100) == rb'caf\xe9 -> 90 - 95 % ... "\u65e5\u672c"'


def test_when_nobody_reads_any_more_the_text_is_dropped_and_the_bytes_are_an_error(pipe):
    output = Output(pipe["writer"], "utf-8", interactive=True)
    os.close(pipe.pop("reader"))
    with pytest.raises(BrokenPipeError):
        output.buffer.write(b"predictions") and output.buffer.flush()
    output.write("a line\n")
    output.write("another\n")
    output.flush()
    assert output.failure.errno == errno.EPIPE


@pytest.mark.parametrize(
    ("error", "code", "ended"), [(errno.EPIPE, 0, 141), (errno.ENOSPC, 0, 1), (errno.EPIPE, 3, 3), (None, 0, 0)]
)
def test_results_that_did_not_arrive_are_told_by_the_exit_code(monkeypatch, capsys, error, code, ended):
    monkeypatch.setattr(streams, "failure", lambda: OSError(error, os.strerror(error)) if error else None)
    assert failures.delivered(code) == ended
    assert ("results cannot be written" in capsys.readouterr().err) == (ended == 1)


class Encoded(io.TextIOWrapper):
    def __init__(self, encoding):
        super().__init__(io.BytesIO(), encoding=encoding, errors=streams.HANDLER, write_through=True)

    def text(self):
        return self.buffer.getvalue().decode(self.encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_on_stdout_says_the_same_in_every_encoding(cli, paint, monkeypatch, encoding):
    streams.codecs.register_error(streams.HANDLER, streams._replaced)
    folder = paint("photos/{colour}/{k}.png", 3)
    (folder / "red").rename(folder / "röt 日本")
    monkeypatch.setattr(sys, "stdout", stdout := Encoded(encoding))
    cli("datasets", "folder", folder, "--json", "-")
    assert "röt 日本" in json.loads(stdout.text())["classes"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_is_printed_in_every_encoding(cli, paint, monkeypatch, encoding):
    streams.codecs.register_error(streams.HANDLER, streams._replaced)
    folder = paint("photos/{colour}/{k}.png", 3)
    (folder / "red").rename(folder / "日本")
    monkeypatch.setattr(sys, "stdout", stdout := Encoded(encoding))
    assert cli("datasets", "folder", folder, "--json", "facts.json").code == 0
    assert "\\u65e5\\u672c" in stdout.text()
    assert "日本" in Path("facts.json").read_text(encoding="utf-8")


def program(*arguments, shell, **more):
    """The program in a shell that does something to its streams: ``"$@" >&-``."""
    command = ["bash", "-o", "pipefail", "-c", shell, "bash", *PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.mark.parametrize(
    ("shell", "code"), [('"$@" | true', 141), ('"$@" >&-', 0), ('"$@" 2>&-', 0), ('"$@" >&- 2>&- <&-', 0)]
)
def test_a_command_whose_output_nobody_can_read_still_does_its_work(tmp_path, shell, code):
    done = program("runs", "--json", "facts.json", shell=shell, cwd=tmp_path)
    assert (done.returncode, "rror" in done.stderr) == (code, False), done.stderr
    assert json.loads((tmp_path / "facts.json").read_text())["runs"] == []


def test_what_a_library_prints_past_python_does_not_mix_with_the_results(tmp_path):
    noisy = "import os; os.write(1, b'noise of a library'); print('result')"
    code = f"from clsbench.cli import streams; streams.prepare(); {noisy}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("result\n", "noise of a library")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_under_stdout_is_an_error(tmp_path):
    done = program("runs", shell='"$@" >/dev/full', cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        1, "error: the results cannot be written\n  where: stdout\n  got: No space left on device\n"
    )  # fmt: skip
