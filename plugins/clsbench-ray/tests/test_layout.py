import pytest

from clsbench import DeviceError, OptionError

layout = pytest.importorskip("clsbench_ray.layout", reason="clsbench-ray is not installed: make plugins-test")
Layout, Node, chunk_size, lay_out = layout.Layout, layout.Node, layout.chunk_size, layout.lay_out


@pytest.mark.parametrize(
    ("nodes", "device", "asked", "found"),
    [
        ([Node(8)], "auto", {}, Layout(1, 8)),
        ([Node(8), Node(16)], "cpu", {}, Layout(3, 8)),
        ([Node(16, 4)], "cuda", {}, Layout(4, 4, 1)),
        ([Node(16, 4)], "cpu", {}, Layout(1, 16)),
        ([Node(16, 1), Node(64)], "auto", {}, Layout(1, 16, 1)),
        ([Node(16, 1)], "auto", {"gpus": 0.5}, Layout(2, 8, 0.5)),
        ([Node(2, 4)], "cuda", {}, Layout(2, 1, 1)),
        ([Node(5)], "cpu", {"workers": 2}, Layout(2, 2)),
        ([Node(5)], "cpu", {"cores": 1}, Layout(5, 1)),
        ([Node(16, 2)], "auto", {"gpus": 0}, Layout(1, 16)),
    ],
)
def test_a_worker_has_a_gpu_or_a_machine(nodes, device, asked, found):
    assert lay_out(nodes, device, **asked) == found


@pytest.mark.parametrize(
    ("nodes", "device", "asked", "error", "text"),
    [
        ([Node(8)], "cuda:0", {}, DeviceError, "no node of the Ray cluster has a GPU"),
        ([Node(2)], "cpu", {"workers": 3}, OptionError, "no room for the workers"),
        ([Node(2)], "cpu", {"cores": 3}, OptionError, "no room for the workers"),
        ([Node(2)], "cpu", {"workers": 0}, OptionError, "workers must be at least 1"),
        ([Node(2, 1)], "auto", {"gpus": -1}, OptionError, "must not be below 0"),
        ([Node(2, 1)], "auto", {"gpus": 2}, OptionError, "no node of the cluster has what a worker needs"),
        ([], "auto", {}, OptionError, "no node"),
    ],
)
def test_what_does_not_fit_is_refused(nodes, device, asked, error, text):
    with pytest.raises(error, match=text):
        lay_out(nodes, device, **asked)


def test_chunks_are_whole_batches():
    assert chunk_size(10**6, 4, 48) == 528
    assert chunk_size(100, 4, 48) == 48
    assert chunk_size(100, 4, 4, 6) == 8
    with pytest.raises(OptionError, match="chunk"):
        chunk_size(100, 4, 4, 0)
