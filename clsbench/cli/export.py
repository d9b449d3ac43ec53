"""``clsbench export``: a trained network as one self-describing .onnx, proved equal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clsbench.cli.parameters import Json, Quiet, With

if TYPE_CHECKING:
    from clsbench.card import ModelCard
    from clsbench.cli.terminal import Terminal
    from clsbench.exporting.exporter import ExportResult
    from clsbench.images.loader import ImageSource
    from clsbench.runs import Run


def export(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run's name or directory; the latest if left out.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX, the one format there is.")] = True,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="RUN/model.onnx, or MODEL.onnx with --model.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Export this model as it is, with its own classes, instead of a run.")
    ] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="With --model: its published weights.")] = False,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --model: weights from a local file.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images for the parity gate; the run's validation split."),
    ] = None,
    options: With = None,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Export to ONNX; the file is written only if it agrees with the network (else exit 3)."""
    from clsbench.cli.composition import asked
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError
    from clsbench.options import parse_with

    terminal = Terminal(json=json, quiet=quiet)
    if model and run:
        raise OptionError("export takes a run or --model, not both", got=f"{run} and --model {model}")
    if not model and (pretrained or weights or options):
        raise OptionError("--pretrained, --weights and --with need --model", hint="a run has its own weights")
    if model:
        classifier, card, sources = _as_it_is(
            model, asked(parse_with(options or (), ("model",)), pretrained=pretrained, weights=weights)
        )
        out = out or Path(f"{model.replace('/', '-')}.onnx")
    else:
        found, classifier, card, sources = _from_run(terminal, run, images)
        out = out or found.onnx
    if images:
        from clsbench.images.listing import list_images

        sources = [images / name for name in list_images(images).names]
    result = _export(terminal, classifier, card, sources, out)
    terminal.facts(result.to_json())
    if result.file is None:
        terminal.warn(
            f"the file disagrees with the trained network and was not written: {out}\n"
            f"  expected: the same top-1 everywhere, probabilities within {result.report.tolerance:g}"
        )
        raise typer.Exit(3)
    terminal.print(f"written: {out} ({out.stat().st_size / 1e6:.1f} MB)")
    terminal.note("next: clsbench infer IMAGES --out preds.csv")


def _from_run(
    terminal: Terminal, name: str | None, images: Path | None
) -> tuple[Run, Any, ModelCard, list[ImageSource]]:
    """The trained network of a run, its card, and the images of its validation split."""
    from clsbench import __version__, runs
    from clsbench.card import ModelCard, ModelSource
    from clsbench.cli.composition import rebuild_dataset, registry
    from clsbench.errors import DataError, ModelError
    from clsbench.exporting.exporter import check_same_preprocessing
    from clsbench.models.heads import parse_head, with_head
    from clsbench.models.weights import load_state, read_state

    run = runs.find(name)
    record = run.read_record()
    if name is None:
        terminal.note(f"exporting the latest run: {run.path}")
    if record.result is None:
        raise ModelError("the run was not finished", where=run.record, got="no result", hint="train again")
    trained, head = record.model, str(record.training.get("head", "linear"))
    # Where the weights started from is the run's business, and a path of its machine.
    options = {k: v for k, v in trained.options.items() if k not in ("pretrained", "weights")}
    result = {name: value for name, value in asdict(record.result).items() if name != "unreadable"}
    card = ModelCard(
        classes=record.classes,
        transform=record.transform,
        model=ModelSource(trained.name, trained.distribution, trained.version, options, head),
        training={"run": run.name, "data": record.data.dataset, **record.training, **result},
        clsbench_version=__version__,
    )
    built = registry().resolve("model", trained.name).build(len(card.classes), **options)
    classifier = with_head(built, parse_head(head), len(card.classes))
    check_same_preprocessing(classifier, card)
    if not load_state(classifier, read_state(run.best), head="head", where=run.best):
        raise ModelError(
            "the weights' head is not the one that run.json describes",
            where=run.best,
            expected=f"{head}, {len(card.classes)} classes",
        )
    if images:
        return run, classifier, card, []
    try:
        pictures, _ = rebuild_dataset(run)
    except DataError as error:
        raise DataError(
            "the run's images, which the parity gate needs, cannot be read",
            where=record.data.root,
            got=error.one_line(),
            hint="name a folder of images with --images DIR",
        ) from None
    return run, classifier, card, [sample.image for sample in pictures.samples("val")]


def _as_it_is(name: str, given: dict[str, dict[str, str]]) -> tuple[Any, ModelCard, list[ImageSource]]:
    """A network with its own classes, its card, and two photos cropped many ways."""
    from clsbench import __version__
    from clsbench.card import ModelCard, ModelSource
    from clsbench.cli.composition import resolve
    from clsbench.errors import ModelError
    from clsbench.exporting.gate_images import embedded_photos

    found, options = resolve("model", name, given)
    classifier = found.build(None, **options)
    if classifier.classes is None:
        raise ModelError(f"{name} has no class names of its own", hint="train it on your classes first")
    card = ModelCard(
        classes=classifier.classes,
        transform=classifier.transform,
        model=ModelSource(
            found.qualified,
            found.plugin.distribution,
            found.plugin.version,
            {k: v.name if isinstance(v, Path) else v for k, v in options.items()},
        ),
        clsbench_version=__version__,
    )
    return classifier, card, embedded_photos()


def _export(
    terminal: Terminal, classifier: Any, card: ModelCard, sources: list[ImageSource], out: Path
) -> ExportResult:
    from clsbench.cli.composition import registry
    from clsbench.cli.terminal import table
    from clsbench.exporting.exporter import export_model
    from clsbench.exporting.gate_images import load_evenly
    from clsbench.images.loader import ImageLoader

    backend = registry().resolve("backend", "onnxruntime")
    pictures = load_evenly(ImageLoader(classifier.transform), sources)
    terminal.note(
        f"exporting {card.model.name if card.model else 'a network'}, then comparing it on {len(pictures)} images"
    )
    with terminal.err.status("exporting"):
        result = export_model(classifier, card, pictures, out, lambda file: backend.build(file, "cpu"))
    rows = [
        (str(b.batch_size), f"{b.top1_agreement:.2%}", f"{b.max_probability_difference:.2e}")
        for b in result.report.batches
    ]
    verdict = "PASSED" if result.report.passed else "FAILED"
    columns = ("batch size", "top-1 agreement", "largest probability difference")
    terminal.print(table(f"Parity with the trained network: {verdict}", columns, rows, left=0))
    return result
