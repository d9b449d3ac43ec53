"""``verify``: do two forms of a network say the same, from the encoded image to the probabilities?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clsbench import runs
from clsbench.api.components import Options, choose
from clsbench.api.gate import labelled_images, opened_like_infer
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.card import METADATA_KEY
from clsbench.errors import ModelError, OptionError
from clsbench.gate_report import GateReport
from clsbench.machine import wait_passively
from clsbench.text import command, counted, some

if TYPE_CHECKING:
    from clsbench.api.sources import Images
    from clsbench.api.trained import Trained
    from clsbench.card import ModelCard
    from clsbench.exporting.gate import Gate
    from clsbench.exporting.gate_paths import InferencePath, ReferencePath
    from clsbench.images.batch_decoders import Decoded

#: A run, a file with a card, or a file as another program exported it.
Kind = Literal["run", "file", "original"]


@dataclass(frozen=True, kw_only=True)
class VerifyResult:
    """Whether two forms of a network agree.

    Args:
        reference: What was taken for right: a run, a file of another program, or the first of two files.
        verified: What was run as ``infer`` runs it.
        images: Where the images came from.
        report: What the gate measured.
        decoded: Who decoded the images of the second one; None where no decoder took several at once.
    """

    reference: str
    verified: str
    images: str
    report: GateReport
    decoded: Decoded | None = None

    @property
    def passed(self) -> bool:
        """Whether they agree."""
        return self.report.passed

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        names = {"reference": self.reference, "verified": self.verified, "images": self.images}
        decoded = {"decoded": self.decoded.to_json()} if self.decoded else {}
        code = {"code": self.report.code} if self.report.code else {}
        return {"schema": 1, **names, **code, "parity": self.report.to_json(), **decoded}


@dataclass(frozen=True)
class Form:
    """A network in one of its forms.

    Args:
        spec: As the user named it.
        kind: What it is.
        file: The model file; of a run its directory.
        card: Of a file or a run; an original has none.
        trained: Of a run: its network.
    """

    spec: str
    kind: Kind
    file: Path
    card: ModelCard | None
    trained: Trained | None = None


def verify(
    a: str | Path,
    b: str | Path,
    *,
    images: Images | None = None,
    gate_n: int = 256,
    gate: Gate | None = None,
    device: str = "cpu",
    decoders: Sequence[str] = (),
    options: Options = (),
    observer: Observer | None = None,
) -> VerifyResult:
    """Compare two forms of a network on real images, as ``export`` compares a run with its file.

    The one with a card takes ``infer``'s path, the second of two; the other is the reference. Of two runs the second
    one's network is run in torch with ``infer``'s pixels.

    Args:
        a, b: Each a run's name or directory, an .onnx file with a card, or the original of an adopted one.
        images: Images as ``infer`` takes them; the validation split of a run, if one of the two is one, if left out.
            Class folders give accuracy too.
        gate_n: How many of them to compare at most, spread evenly.
        gate: What must be shown; by default the same top-1 everywhere, and probabilities within 0.001,
            or 0.02 where one of the two alone is float16, or a GPU computes float32 as TF32.
        device: What model files run on: ``cpu``, ``auto``, ``cuda[:i,j]`` or ``tensorrt[:i,j]``.
        decoders: Decoders that ``infer`` is to try before the built-in ones. The reference decodes without them, and
            what other pixels move is told apart, and limited as where images are read by Pillow on one side. Name the
            same file twice to see what a decoder alone does.
        options: Of the decoders.
        observer: Hears notes and progress.

    Raises:
        OptionError: if images are needed and none are named, or neither of the two knows its preprocessing.
        ModelError: if one of them cannot be used, or their classes are not the same by name.
        DataError: if no image can be read.
    """
    from clsbench.exporting.gate import check_labels, gate_on, measure, ran_on
    from clsbench.exporting.gate_images import choose_evenly
    from clsbench.exporting.gate_paths import PIXEL_TOLERANCE
    from clsbench.images.loader import ImageLoader

    observer = observer or Observer()
    wait_passively()
    readers = [one.build() for one in choose({"decoder": decoders}, options)["decoder"]]
    forms = [_form(str(spec), observer) for spec in (a, b)]
    reference, verified = _sides(*forms)
    assert verified.card is not None
    columns = _columns(reference, verified)
    owner = next((form.trained for form in forms if form.trained), None)
    if images is not None:
        entries, labels, place = labelled_images(images, _order(reference, verified))
    elif owner:
        entries, labels, place = *owner.validation(), f"the validation split of {owner.run}"
        if columns and labels and verified.trained is owner:
            labels = [columns.index(label) for label in labels]
    else:
        raise OptionError("no images to compare the two on", where="--images", expected="a folder, or a run for A or B")
    outputs = Outputs(observer)
    outputs.refuse(*(form.file for form in forms if form.kind != "run"))
    outputs.refuse_images(entries)
    chosen = choose_evenly(entries, labels, count=gate_n)
    observer.note(
        f"comparing {verified.spec}, as infer runs it, with {reference.spec} on {counted(len(chosen), 'image')}"
    )
    for difference in _stated_differently(reference, verified):
        observer.note(difference)
    with ExitStack() as stack:
        right = path_of(reference, verified, stack, device)
        checked = _inference_path(verified, stack, device, right.temperature, columns)
        if readers:
            right = dataclasses.replace(right, pixel_tolerance=max(right.pixel_tolerance, PIXEL_TOLERANCE))
            checked = dataclasses.replace(checked, loader=ImageLoader(verified.card.transform, readers))
        ran = checked.backend.device
        gate = gate or gate_on(ran, verified.card.precision, (reference.card or verified.card).precision)
        check_labels(gate, chosen)
        observer.stage("comparing", len(chosen))
        report = measure(
            right, checked, chosen, gate, precision=verified.card.precision, heard=observer.advance
        )  # fmt: skip
    if decoded := checked.loader.decoded:
        (observer.warn if decoded.failed else observer.note)(decoded.text)
    return VerifyResult(
        reference=reference.spec, verified=verified.spec, images=place, report=ran_on(ran, report), decoded=decoded
    )  # fmt: skip


def path_of(form: Form, other: Form, stack: ExitStack, device: str) -> ReferencePath:
    """The reference path of one of the two.

    Args:
        form: A run, a file with a card, or an original.
        other: The other one, whose card says how an original is meant to be used.
        stack: Closes what is opened.
        device: For a file with a card.

    Raises:
        ModelError: if it cannot be used.
    """
    from clsbench.adopting.graph import load_graph
    from clsbench.api.proposal import recognised
    from clsbench.exporting.gate_paths import file_path, training_path
    from clsbench.exporting.original_path import original_path

    card = other.card
    assert card is not None
    if form.trained:  # a run knows no temperature: a calibrated file's holds for both
        path = training_path(form.trained.classifier, form.trained.card.transform)
        return dataclasses.replace(path, temperature=card.temperature or 1.0)
    if form.card:
        return file_path(stack.enter_context(opened_like_infer(form.file, device)), form.card)
    foreign = recognised(form.file, card)
    path = original_path(foreign, card.transform, load_graph(other.file) if other.kind == "file" else foreign.model)
    return dataclasses.replace(path, temperature=card.temperature or 1.0)


def _inference_path(
    form: Form, stack: ExitStack, device: str, temperature: float, columns: Sequence[int] | None
) -> InferencePath:
    """The path of the form that is verified; a run has no temperature of its own."""
    from clsbench.exporting.gate_paths import InferencePath
    from clsbench.exporting.network_backend import NetworkBackend
    from clsbench.images.loader import ImageLoader

    assert form.card is not None
    if form.trained:
        backend: Any = NetworkBackend(form.trained.classifier)
    else:
        backend, temperature = stack.enter_context(opened_like_infer(form.file, device)), form.card.temperature or 1.0
    return InferencePath(
        loader=ImageLoader(form.card.transform), backend=backend, classes=len(form.card.classes),
        temperature=temperature, columns=columns,
    )  # fmt: skip


def _form(spec: str, observer: Observer) -> Form:
    from clsbench.api.trained import trained_network
    from clsbench.model_file import read_card
    from clsbench.onnx_file import read_onnx

    if not Path(spec).is_file() and runs.is_run(spec):
        trained = trained_network(spec, observer)
        return Form(spec, "run", runs.find(spec).path, trained.card, trained)
    file = Path(spec)
    if not file.exists():
        raise ModelError(f"there is no run and no model file '{spec}'", hint="`clsbench runs` lists the runs")
    if METADATA_KEY in read_onnx(file).metadata:
        return Form(spec, "file", file, read_card(file))
    return Form(spec, "original", file, None)


def _sides(a: Form, b: Form) -> tuple[Form, Form]:
    """Which of the two is the reference, and which is verified."""
    for kind in ("file", "run"):
        for form, other in ((b, a), (a, b)):
            if form.kind == kind:
                return other, form
    raise OptionError(
        "neither of the two files knows its classes and preprocessing", got=f"{a.spec} and {b.spec}",
        expected="a run or a file with a card among them", hint=f"`{command('adopt', a.file)}` gives a file a card",
    )  # fmt: skip


def _stated_differently(reference: Form, verified: Form) -> Iterator[str]:
    """The fields of the preprocessing that the two cards, of a run or a file, state differently."""
    if reference.card is None or verified.card is None:
        return
    one, other = (card.transform.to_json() for card in (reference.card, verified.card))
    for field in dict.fromkeys((*one, *other)):
        if one.get(field) != other.get(field):
            said = f"{one.get(field)} in {reference.spec}, {other.get(field)} in {verified.spec}"
            yield f"they state another {field}: {said}"


def _order(reference: Form, verified: Form) -> ModelCard:
    """The card in whose order of classes the two are compared."""
    card = reference.card or verified.card
    assert card is not None
    return card


def _columns(reference: Form, verified: Form) -> tuple[int, ...] | None:
    """Where the reference's classes stand among those of the other; None for the same order, or an original's.

    Raises:
        ModelError: if they are not the same by name.
    """
    assert verified.card is not None
    if reference.card is None or reference.card.classes == verified.card.classes:
        return None
    ours, theirs = reference.card.classes, verified.card.classes
    if set(ours) != set(theirs):
        missing = [name for name in ours if name not in set(theirs)]
        more = [name for name in theirs if name not in set(ours)]
        only = [f"only {form.spec}: {some(names)}" for form, names in ((reference, missing), (verified, more)) if names]
        raise ModelError(
            "the two have different classes", got="; ".join(only),
            expected=f"the same {counted(len(ours), 'name')}, in any order", code="CB-L005",
        )  # fmt: skip
    return tuple(theirs.index(name) for name in ours)
