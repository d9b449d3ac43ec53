"""The backend ``torch``: a run's network in torch itself, where other engines run the file that was exported from it.

    clsbench bench runs/first --backends onnxruntime,torch,torch:compile=true

It is slow, and an oracle: no exporter and no other runtime stands between the training and its answers. torch is
imported once a model is opened.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import Component, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clsbench_torch.backend import TorchBackend


def build(
    model_path: Path,
    device: str = "auto",
    *,
    run: Path | None = None,
    compile: bool = False,
    batch_size: int | None = None,
    threads: int | None = None,
) -> TorchBackend:
    """Open the network of the run that a model file was exported from.

    Args:
        model_path: ``RUN/model.onnx``, or another file exported from the run.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:i``.
        run: The run's directory, where the file is not in it.
        compile: Let ``torch.compile`` translate the network first: takes up to minutes, and needs a C++ compiler.
        batch_size: Images a call; 8 on a CPU, 64 on a GPU if left out.
        threads: Of a call, on a CPU; as many as torch finds cores for if left out.

    Raises:
        OptionError: for an unknown device, or a number below 1.
        DeviceError: if there is no such GPU.
        ModelError: if there is no run, or its network is not that of the file.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # or idle threads of torch spin on the cores of the decoders
    from clsbench_torch.backend import open_network

    return open_network(Path(model_path), device, run=run, compiled=compile, batch_size=batch_size, threads=threads)


@hookimpl
def register_backends() -> Iterator[Component]:
    """``torch``; as an oracle it runs only where it is named."""
    yield Component("torch", build, "a run's network in torch, eager or compiled: slow, an oracle", variants=())
