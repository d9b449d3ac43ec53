"""``clsbench inspect``: a model file's card, and its classes."""


def test_classes_are_listed_one_a_line_with_their_names_aligned(cli, tiny_onnx):
    done = cli("inspect", tiny_onnx, "--classes")
    assert done.code == 0, done.stderr
    lines = done.stdout.splitlines()[-3:]
    assert [line.split() for line in lines] == [["0", "red"], ["1", "green"], ["2", "blue"]]
    assert {line[:8].rstrip() for line in lines} == {"0", "1", "2"}
