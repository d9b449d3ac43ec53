import os

from clsbench.inference.native_messages import native_messages, pass_on


def test_what_a_library_writes_is_held_back_and_can_be_passed_on(capfd):
    with native_messages() as said:
        os.write(2, "[E:onnxruntime] no cuDNN\nnär\n".encode())
    assert said == ["[E:onnxruntime] no cuDNN\n", "när\n"]
    assert capfd.readouterr().err == ""
    pass_on(said)
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "[E:onnxruntime] no cuDNN\nnär\nafter\n"


def test_a_failure_restores_standard_error(capfd):
    try:
        with native_messages():
            raise KeyError
    except KeyError:
        os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
