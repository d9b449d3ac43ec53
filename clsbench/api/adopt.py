"""``adopt``: a file that another program exported becomes one that knows itself, proved equal to the original."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.checkpoint import Classes
from clsbench.api.export_confidence import Confidence
from clsbench.api.gate import labelled_images, open_like_infer
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.proposal import Proposal, propose
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.adopting.stated import Channels, Range
    from clsbench.api.sources import Images
    from clsbench.card import ModelCard
    from clsbench.exporting.exporter import Addition
    from clsbench.exporting.gate import Gate
    from clsbench.gate_report import GateReport
    from clsbench.images.entries import Entry
    from clsbench.picture_shape import GivenSize
    from clsbench.transform import ImageTransform


@dataclass(frozen=True, kw_only=True)
class AdoptResult:
    """An adopted file.

    Args:
        file: It; None where the gate was not passed, so that nothing was written.
        card: What it says about itself, the gate's report included.
        report: What the gate measured.
        proposal: What was recognised, and on whose word.
    """

    file: Path | None
    card: ModelCard
    report: GateReport
    proposal: Proposal

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``adopt --json`` writes them."""
        return {
            "schema": 1,
            "file": str(self.file) if self.file else None,
            "original": str(self.proposal.foreign.file),
            "decisions": [each.to_json() for each in self.proposal.decisions],
            **({"code": self.report.code} if self.report.code else {}),
            "parity": self.report.to_json(),
            "card": dataclasses.replace(self.card, parity=None).to_json(),
        }


def adopt(
    file: str | Path,
    *,
    out: str | Path | None = None,
    classes: Classes | None = None,
    transform: str | Path | ImageTransform | None = None,
    size: GivenSize | None = None,
    resize: str | None = None,
    crop_fraction: float | None = None,
    interpolation: str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    range: Range | None = None,
    channels: str | None = None,
    pad: str | Sequence[int] | None = None,
    output: str | None = None,
    guess: bool = False,
    gate_images: Images | None = None,
    gate_n: int = 256,
    gate: Gate | None = None,
    calibrate: bool = False,
    abstain_at_precision: float | None = None,
    calibrate_images: str | Path | None = None,
    observer: Observer | None = None,
) -> AdoptResult:
    """Give a foreign .onnx classifier a card, and a graph that takes raw pixels; needs no torch.

    Args:
        file: Any .onnx file with images as its only input and one score a class.
        out: The file to write; ``NAME-adopted.onnx`` in the working folder if left out.
        classes: Names in the order of the outputs, a file of them, or ``imagenet``; found beside or in the file if
            left out.
        transform: All of the preprocessing: ``imagenet``, ``clip``, a JSON file or an :class:`ImageTransform`.
        size: (h, w), a side or a text ``H,W``, pixels; for a network that takes several.
        resize: ``crop``, ``squash``, ``squash-crop`` or ``letterbox``.
        crop_fraction: The part of the resized image that a crop keeps.
        interpolation: The resampling filter.
        mean, std: For each channel in the network's own order, in units of ``range``.
        range: Of the input before mean and std: ``0-1`` or ``0-255``; alone it means that nothing is subtracted.
        channels: ``rgb`` or ``bgr``, the order that the network takes.
        pad: The colour of padding, RGB in levels 0 to 255.
        output: The name of the output with the scores, where there are several.
        guess: Whether what nobody says may be guessed.
        gate_images: Images for the gate, as ``infer`` takes them; crops of two photos if left out.
        gate_n: How many of them at most.
        gate: What the file must show.
        calibrate, abstain_at_precision, calibrate_images: As in :func:`clsbench.export`, with labelled images.
        observer: Hears what was decided, notes and progress.

    Returns:
        The result; ``file`` is None where the gate was not passed and nothing was written.

    Raises:
        OptionError: for a wrong value.
        DataError: if classes or images cannot be read, or the output would destroy an input.
        ModelError: if the file is not to be trusted, no classifier that can be used, contradicts itself, or its
            preprocessing can only be guessed.
    """
    from clsbench.adopting.stated import stated

    file, observer = Path(file), observer or Observer()
    confidence = Confidence(calibrate, abstain_at_precision, calibrate_images)
    asked = stated(
        transform=transform, size=size, resize=resize, crop_fraction=crop_fraction, interpolation=interpolation,
        mean=mean, std=std, range=range, channels=channels, pad=pad,
    )  # fmt: skip
    target = Path(out) if out is not None else Path(f"{file.stem}-adopted.onnx")
    outputs = Outputs(observer)
    outputs.add(target, "--out", "the model", ".onnx")
    read = [given for given in (classes, transform) if isinstance(given, str | Path)]
    outputs.refuse(file, *read)
    proposal = propose(file, asked, classes, output, observer)
    outputs.refuse(*(file.parent / name for name in proposal.foreign.facts.external))
    if not guess:
        proposal.check_guesses()
    add = confidence.adder(proposal.card, None, target, observer)
    return _proved(proposal, target, gate_images, gate_n, gate, add, outputs, observer)


def _proved(
    proposal: Proposal, out: Path, images: Images | None, count: int, gate: Gate | None, add: Addition | None,
    outputs: Outputs, observer: Observer,
) -> AdoptResult:  # fmt: skip
    """Wrap the graph, compare it with the original, and write it if it passes."""
    from clsbench.exporting.exporter import write_proved
    from clsbench.exporting.gate import Gate, check_labels
    from clsbench.exporting.gate_images import choose_evenly, embedded_photos
    from clsbench.exporting.original_path import original_path

    foreign, card, labels = proposal.foreign, proposal.card, None
    entries: Sequence[Entry] = embedded_photos()
    if images is not None:
        entries, labels, _ = labelled_images(images, card)
    outputs.refuse_images(entries)
    chosen = choose_evenly(entries, labels, count=count)
    gate = gate or Gate()
    check_labels(gate, chosen)
    observer.note(f"wrapping the graph, then comparing it with the original on {counted(len(chosen), 'image')}")
    observer.stage("comparing", len(chosen))
    model = foreign.wrapped(card.transform)
    reference = original_path(foreign, card.transform, model)
    if card.precision == "int8":
        observer.note("an int8 file: it will carry some images of the gate, for engines other than ONNX Runtime")
    result = write_proved(model, card, reference, chosen, out, open_like_infer, gate, add=add, heard=observer.advance)
    return AdoptResult(file=result.file, card=result.card, report=result.report, proposal=proposal)
