"""In what precision OpenVINO computes: what is asked of it, what the device can do, and what was compiled.

On a CPU with bfloat16 OpenVINO takes it by itself, and on GPUs float16: nobody has asked for that, and labels change.
So a precision is always named, float32 if the user names none, and read back from the compiled network.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from clsbench import DeviceError

Precision = Literal["f32", "bf16", "f16"]

#: The option's words -> the usual ones.
NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}

#: How OpenVINO lists what a device can do.
CAPABILITIES = {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}

#: What a compiled layer says of itself -> the usual words; layers of an int8 file are int8 whatever was asked.
COMPILED = {**NAMES, "i8": "int8", "u8": "int8"}

#: Layers that are the network's work, as the compiled network calls them on CPUs and on GPUs.
COMPUTE = ("convolution", "fullyconnected", "fully_connected", "matmul", "gemm", "deconvolution", "scaleddotproduct")


def check_capability(precision: Precision, name: str, capabilities: list[str]) -> None:
    """Refuse a precision that a device does not compute in.

    Raises:
        DeviceError: if it does not.
    """
    if CAPABILITIES[precision] not in capabilities:
        able = [NAMES[word] for word, listed in CAPABILITIES.items() if listed in capabilities]
        raise DeviceError(
            f"{name.lower()} does not compute in {NAMES[precision]}", where=f"precision={precision}",
            expected=" or ".join(able), hint=f"--with backend.precision={'f32' if 'float32' in able else 'f16'}",
        )  # fmt: skip


def compiled_precision(compiled: Any) -> str | None:
    """What the layers of a compiled network compute in: ``bfloat16``; ``int8+float32``, the most frequent first.

    None for a network without a layer that is work.
    """
    found: Counter[str] = Counter()
    for layer in compiled.get_runtime_model().get_ordered_ops():
        facts = layer.get_rt_info()
        kind, precision = (facts[key].astype(str) if key in facts else "" for key in ("layerType", "runtimePrecision"))
        if kind.lower().startswith(COMPUTE):
            found[COMPILED.get(precision, precision)] += 1
    return "+".join(name for name, _ in found.most_common()) or None


def prove(compiled: Any, precision: Precision) -> str:
    """The precision of a compiled network, if it is the one that was asked for.

    A network without a layer that is work has the precision that OpenVINO says it aims at.

    Raises:
        DeviceError: if a layer computes in another; int8 layers are the file's own.
    """
    found = compiled_precision(compiled) or _intended(compiled)
    wrong = [name for name in found.split("+") if name not in (NAMES[precision], "int8")]
    if wrong:
        raise DeviceError(
            f"OpenVINO does not compute in {NAMES[precision]} although it was asked to",
            where=f"precision={precision}", got=found, expected=NAMES[precision],
        )  # fmt: skip
    return found


def _intended(compiled: Any) -> str:
    hint = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
    return NAMES.get(hint, hint)
