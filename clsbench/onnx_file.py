"""An ONNX file of anyone's: read without running it, checked, and described.

A model file is as untrusted as an image. Before any runtime opens one, this holds it to what every honest file keeps:
it is a regular file of bounded size, tensors are as large as their numbers, nodes and functions form no cycle, and
external data lies in the model's own folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from clsbench.errors import ModelError
from clsbench.graph_checks import check_acyclic, graphs, has_padded_max_pool
from clsbench.text import command

#: The most bytes that one protobuf message can have.
LARGEST = 2**31 - 1

#: Bits of a number, by the type's name in ONNX; text has none.
_BITS = {
    **dict.fromkeys(("UINT2", "INT2"), 2),
    **dict.fromkeys(("UINT4", "INT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("UINT8", "INT8", "BOOL", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ"), 8),
    **dict.fromkeys(("FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0"), 8),
    **dict.fromkeys(("UINT16", "INT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("UINT32", "INT32", "FLOAT"), 32),
    **dict.fromkeys(("UINT64", "INT64", "DOUBLE", "COMPLEX64"), 64),
    "COMPLEX128": 128,
}


@dataclass(frozen=True)
class TensorFacts:
    """An input or output: its name, dtype (``float``, ``uint8``) and shape; a free dimension is a name or None."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, kw_only=True)
class OnnxFacts:
    """What stands in an ONNX file.

    Args:
        inputs, outputs: Of the graph; weights that older files list among the inputs are left out.
        opsets: Version by domain; the standard one is ``ai.onnx``.
        ir_version: Of the file format.
        producer: Program and version.
        nodes: How many, with those of subgraphs and functions.
        operators: How often each stands there, the most frequent first.
        parameters: Numbers by dtype, in initialisers and constants.
        parameter_bytes: Their bytes by dtype.
        external: Names of the files beside the model that hold its weights, sorted.
        metadata: Texts by key.
        padded_max_pool: Whether a MaxPool reads what a Pad wrote.
    """

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    opsets: dict[str, int]
    ir_version: int
    producer: str
    nodes: int
    operators: dict[str, int]
    parameters: dict[str, int]
    parameter_bytes: dict[str, int]
    external: tuple[str, ...]
    metadata: dict[str, str]
    padded_max_pool: bool


def read_onnx(file: Path) -> OnnxFacts:
    """Read and check an .onnx file; the weights in external files are not read.

    Raises:
        ModelError: if there is no such file, it is not ONNX, or not to be trusted: external data outside its folder,
            tensors larger than their numbers, cycles.
    """
    if not file.is_file():
        odd = file.exists()
        raise ModelError(
            "the model is not a regular file" if odd else "there is no such model file",
            where=file, expected="an .onnx file, or a run that has been exported",
            hint=None if odd else _making(file),
        )  # fmt: skip
    status = file.stat()
    facts = _read(file, status.st_mtime_ns, status.st_size)
    for name in facts.external:  # each time: the files beside it may have changed
        _external_file(file, name)
    return facts


def _making(file: Path) -> str:
    """What makes a model file; of a bare word that may be the name of a network."""
    if len(file.parts) == 1 and not file.suffix:
        words = command("export", "--model", file, "--pretrained")
        return f"`clsbench runs` lists the runs; of a network of that name `{words}` makes a file"
    return "`clsbench export` makes one, of a run or with --model NAME --pretrained"


@lru_cache(maxsize=8)
def _read(file: Path, modified: int, size: int) -> OnnxFacts:
    """The facts, read once for each state of the file: command and backend both ask."""
    try:
        return _facts(_parse(file, size), file)
    except ValueError as error:  # a text that is not UTF-8
        raise _not_onnx(file, size, str(error)[:200]) from None


def _facts(model: Any, file: Path) -> OnnxFacts:
    check_acyclic(model, file)
    found = list(graphs(model))
    numbers, sizes, external = _tensors(found, file)
    nodes = [node for _, part in found for node in part]
    weights = {tensor.name for tensor in model.graph.initializer}
    operators = Counter(f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in nodes)
    return OnnxFacts(
        inputs=tuple(_described(value) for value in model.graph.input if value.name not in weights),
        outputs=tuple(map(_described, model.graph.output)),
        opsets={opset.domain or "ai.onnx": opset.version for opset in model.opset_import},
        ir_version=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        nodes=len(nodes),
        operators=dict(operators.most_common()),
        parameters=dict(numbers.most_common()),
        parameter_bytes={dtype: sizes[dtype] for dtype, _ in numbers.most_common()},
        external=external,
        metadata={entry.key: entry.value for entry in model.metadata_props},
        padded_max_pool=has_padded_max_pool(model),
    )


def _parse(file: Path, size: int) -> Any:
    """The ModelProto in a file."""
    import onnx
    from google.protobuf.message import DecodeError

    model = None
    if 0 < size <= LARGEST:
        try:
            model = onnx.load(file, format="protobuf", load_external_data=False)
        except DecodeError:
            model = None
    if model is None or not model.graph.node:
        raise _not_onnx(file, size, f"{size} bytes that are not an ONNX graph")
    return model


def _not_onnx(file: Path, size: int, got: str) -> ModelError:
    return ModelError(
        "this is not an ONNX file",
        where=file,
        got=got,
        expected=f"at most {LARGEST} bytes" if size > LARGEST else None,
        hint="`clsbench export --onnx` writes one",
    )


def _tensors(found: Iterable[tuple[Any, Any]], file: Path) -> tuple[Counter[str], Counter[str], tuple[str, ...]]:
    """(numbers by dtype, bytes by dtype, external files) of every tensor in a model, each of a plausible size."""
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    external: set[str] = set()
    for tensor in _every_tensor(found):
        dtype = _dtype(tensor.data_type)
        count = _count(tensor.dims)
        size = -(-count * _BITS.get(dtype.upper(), 0) // 8)
        if tensor.data_location == 1:
            external.add(_check_external(tensor, size, file))
            fits = True
        else:
            raw = len(tensor.raw_data)
            fits = size <= raw if raw else count <= _numbers_held(tensor)
        if not fits or count < 0:
            raise ModelError(
                "a tensor of the model is larger than its numbers", where=file,
                got=f"{tensor.name[:200]!r} {dtype} {str(list(tensor.dims[:16]))[:200]}",
                hint="the file is damaged: get it again, or export it again",
            )  # fmt: skip
        numbers[dtype] += count
        sizes[dtype] += size
    return numbers, sizes, tuple(sorted(external))


def _count(dims: Any) -> int:
    """How many numbers a tensor has; -1 for what no tensor can be."""
    count = 1
    for dim in dims if len(dims) <= 64 else (-1,):
        count *= dim
        if dim < 0 or count > LARGEST << 20:
            return -1
    return count


def _every_tensor(found: Iterable[tuple[Any, Any]]) -> Iterator[Any]:
    for graph, nodes in found:
        if graph is not None:
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield sparse.values
                yield sparse.indices
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                if attribute.HasField("sparse_tensor"):
                    yield attribute.sparse_tensor.values
                    yield attribute.sparse_tensor.indices


def _numbers_held(tensor: Any) -> int:
    """At most how many numbers stand in a tensor's typed fields; small ones may be packed into one."""
    fields = (tensor.float_data, tensor.int64_data, tensor.double_data, tensor.uint64_data, tensor.string_data)
    return max(len(tensor.int32_data) * 16, *map(len, fields))


def _check_external(tensor: Any, size: int, file: Path) -> str:
    """The name of the file that holds a tensor, which has to be large enough."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = str(entries.get("location", ""))
    held = _external_file(file, name).stat().st_size
    texts = [entries.get("offset") or "0", entries.get("length") or str(size)]
    numbers = [int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1 for text in texts]
    if min(numbers) < 0 or sum(numbers) > held or numbers[1] < size:
        raise ModelError(
            "a tensor of the model is not in its external data as a whole", where=file.parent / name,
            got=f"{held} bytes; {tensor.name[:200]!r} at {texts[0][:40]}, {texts[1][:40]} bytes",
            expected=f"{size} bytes of that tensor", hint="get the model again, with all its files",
        )  # fmt: skip
    return name


def _external_file(file: Path, name: str) -> Path:
    """The file of that name beside a model.

    Raises:
        ModelError: if it lies outside the model's folder, is missing, or is no regular file.
    """
    folder = file.parent.resolve()
    place = folder / name if _plain(name) else folder
    try:
        below = place != folder and place.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a circle of links
        below = False
    if not below:
        raise ModelError(
            "the model wants a file outside its folder", where=file, got=f"external data {name[:200]!r}",
            expected="a path below the model's folder, without .. and without links that lead out of it",
            code="CB-M008",
        )  # fmt: skip
    if not place.is_file():
        raise ModelError(
            "external data of the model is not there", where=file.parent / name,
            expected="a regular file", hint="keep it beside the model, or save the model as one file",
        )  # fmt: skip
    return place


def _plain(name: str) -> bool:
    """Whether a name can only be that of a file below a folder, on every system."""
    parts = name.split("/")
    fitting = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    return fitting and len(name) < 2000 and name.isprintable() and not {"\\", ":"} & set(name)


def _described(value: Any) -> TensorFacts:
    if not value.type.HasField("tensor_type"):
        return TensorFacts(value.name, value.type.WhichOneof("value") or "unknown", ())
    kind = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or None for d in kind.shape.dim]
    return TensorFacts(value.name, _dtype(kind.elem_type), tuple(shape))


def _dtype(number: int) -> str:
    """The name of a type: ``float``, ``uint8``."""
    from onnx import TensorProto

    known = number in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(number)).lower() if known else f"type {number}"
