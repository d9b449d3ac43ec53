"""``bench``: how fast are models in engines, alone and from files to labels, and do they answer alike?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least, check_choice
from clsbench.api.components import Options, choose
from clsbench.api.engines import Engine, named_engines, short_label
from clsbench.api.labelled import Wanted
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import DataError, OptionError
from clsbench.machine import wait_passively
from clsbench.text import distinct_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clsbench.api.sources import Images
    from clsbench.card import ModelCard
    from clsbench.images.entries import Entry
    from clsbench.images.sources.source import Source
    from clsbench.inference.bench import Benchmark, Scenario
    from clsbench.inference.bench_rounds import Contender


#: Share of other labels above which two engines do not run the same network: bfloat16 has 1 to 3 % on a pretrained one.
AT_ODDS = 0.05


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """What was measured: one :class:`Benchmark` for each model, engine and batch size.

    Args:
        benchmarks: In the order in which they were asked for; ratios and agreement refer to the first one measured.
        scenario, device: As they were asked for.
        images: Where the images came from.
        judged: How many images accuracy and agreement are of.
        together: Whether the rows were measured in turns.
    """

    benchmarks: tuple[Benchmark, ...]
    scenario: Scenario
    device: str
    images: str
    judged: int
    together: bool

    @property
    def measured(self) -> tuple[Benchmark, ...]:
        """The rows with figures."""
        return tuple(benchmark for benchmark in self.benchmarks if not benchmark.failure)

    @property
    def complete(self) -> bool:
        """Whether every row could be measured."""
        return len(self.measured) == len(self.benchmarks)

    @property
    def at_odds(self) -> tuple[Benchmark, ...]:
        """Rows of the first row's file that give other labels than the first row for more than :data:`AT_ODDS`."""
        same = [row for row in self.measured if row.model == self.measured[0].model]
        return tuple(row for row in same if row.agreement and row.agreement.value < 1 - AT_ODDS)

    @property
    def stable(self) -> bool:
        """Whether every figure is the same in three windows in a row."""
        return all(benchmark.stable for benchmark in self.measured)

    @property
    def names(self) -> dict[str, str]:
        """Model file -> a short name: of a run's export that of the run."""
        files = list(dict.fromkeys(Path(benchmark.model) for benchmark in self.benchmarks))
        if len(files) == 1 and files[0].name == "model.onnx":
            return {str(files[0]): files[0].resolve().parent.name}
        short = [name.removesuffix("/model.onnx") for name in distinct_names(files)]
        return dict(zip(map(str, files), short, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the environment that the figures depend on."""
        from clsbench.inference.bench import environment_json

        return {
            "schema": 1,
            "scenario": self.scenario,
            "device": self.device,
            "images": self.images,
            "judged_images": self.judged,
            "interleaved": self.together,
            "benchmarks": [benchmark.to_json() for benchmark in self.benchmarks],
            "environment": environment_json(),
        }


def bench(
    *models: str | Path,
    backends: str | Sequence[str] = "onnxruntime",
    images: Images | None = None,
    labels: str | Path | None = None,
    accuracy_n: int = 1000,
    batch_sizes: Sequence[int] = (),
    device: str = "auto",
    allow_fallback: bool = False,
    scenario: Scenario = "offline",
    window: float = 1.0,
    plot: str | Path | None = None,
    options: Options = (),
    observer: Observer | None = None,
) -> BenchResult:
    """Measure models in engines; a figure counts only when three windows agree within 10 %.

    Args:
        models: Exported .onnx files; the latest export if left out.
        backends: Engines, such as ``"onnxruntime,openvino,openvino:precision=bf16"``, or ``"all"`` that are installed.
        images: Images as ``infer`` takes them; two embedded photos if left out. With labels they give accuracy.
        labels: As in :func:`clsbench.infer`.
        accuracy_n: How many images accuracy and agreement are of at most, spread evenly.
        batch_sizes: Images a call; the backend's choice (1 for ``single-stream``) if left out.
        device, allow_fallback, options: As in :func:`clsbench.infer`.
        scenario: ``offline`` for throughput, ``single-stream`` for latency.
        window: Seconds of one measurement.
        plot: A PNG: accuracy over throughput; agreement with the first row where there are no labels.
        observer: Hears progress.

    Returns:
        One row for each model, engine and batch size; one that could not be measured says why.

    Raises:
        OptionError: for a batch size below 1, or an unknown backend.
        ModelError: if a model file cannot be used.
        ClsbenchError: of the first row, if none could be measured.
    """
    from clsbench import runs
    from clsbench.inference.bench_rounds import fits_memory, run_benchmarks
    from clsbench.model_file import read_card

    check_choice("scenario", scenario, ("offline", "single-stream"))
    check_at_least("window", window, 0.05)
    check_at_least("accuracy_n", accuracy_n, 1)
    wait_passively()
    observer = observer or Observer()
    if any(size < 1 for size in batch_sizes):
        raise OptionError("batch sizes start at 1", where="--batch-size", got=", ".join(map(str, batch_sizes)))
    sizes: Sequence[int | None] = batch_sizes or ([1] if scenario == "single-stream" else [None])
    engines = named_engines(backends, options, observer)
    if allow_fallback:
        engines = [_with_fallback(engine, alone=len(engines) == 1) for engine in engines]
    files = [runs.find_onnx(file) for file in models or [None]]
    cards = [read_card(file) for file in files]
    photos = _Photos.open(images, labels, accuracy_n, observer)
    outputs, chart = Outputs(observer), Path(plot) if plot is not None else None
    outputs.add(chart, "--plot", "the plot", ".png")
    outputs.refuse(*files, None if labels == "none" else labels)
    outputs.refuse_images(photos.entries)
    rows = [
        _row(file, card, engine, size, device, truth)
        for file, card in zip(files, cards, strict=True)
        for truth in [photos.labels(file, card, observer)]
        for engine in engines
        for size in sizes
    ]
    together = fits_memory(rows)
    if not together:
        observer.warn("the models do not fit into memory together: rows are measured one after the other")
    made = run_benchmarks(
        rows, photos.entries, judged=photos.judged, scenario=scenario, window=window, together=together,
        stage=observer.stage, step=observer.advance,
    )  # fmt: skip
    result = BenchResult(
        benchmarks=tuple(made), scenario=scenario, device=device, images=photos.place, judged=len(photos.judged),
        together=together,
    )  # fmt: skip
    if not result.measured and made[0].failure:
        raise made[0].failure
    if chart:
        draw(result, chart)
        observer.note(f"drawn: {chart}")
    return result


def draw(result: BenchResult, file: Path) -> None:
    """Draw accuracy, or else agreement with the first row, over throughput.

    Raises:
        DataError: if no row has either.
    """
    from clsbench.evaluation.report.plots import save_accuracy_throughput

    rows = result.measured
    judged = "accuracy" if any(row.accuracy for row in rows) else "agreement"
    points = [
        (row_name(result, row), share.value, share.low, share.high, row.end_to_end.value)
        for row in rows
        if (share := getattr(row, judged)) and row.end_to_end.value
    ]
    what = "top-1" if judged == "accuracy" else f"same top-1 as {row_name(result, rows[0])}"
    save_accuracy_throughput(points, file, what=what)


def row_name(result: BenchResult, row: Benchmark) -> str:
    """What tells a row from the others: its model, its engine, its batch size."""
    rows = result.benchmarks
    name = result.names[row.model].removesuffix(".onnx")
    parts = [name] if len({other.model for other in rows}) > 1 else []
    parts += [short_label(row.engine)] if len({other.engine for other in rows}) > 1 else []
    same = [other for other in rows if (other.model, other.engine) == (row.model, row.engine)]
    parts += [f"batch {row.batch_size}"] if len(same) > 1 else []
    return " ".join(parts) or name


@dataclass(frozen=True)
class _Photos:
    """The images of a benchmark.

    Args:
        place: Where they came from.
        entries: For the rates.
        judged: For accuracy and agreement.
        source: What they were opened as, and who knows their labels; None for the embedded photos.
        wanted: The same.
        rows: Which of the source's images are judged.
    """

    place: str
    entries: Sequence[Entry]
    judged: Sequence[Entry]
    source: Source | None = None
    wanted: Wanted | None = None
    rows: NDArray[np.int64] | None = None

    @classmethod
    def open(cls, images: Images | None, labels: str | Path | None, count: int, observer: Observer) -> _Photos:
        from clsbench.api.sources import open_source
        from clsbench.exporting.gate_images import embedded_photos, spread
        from clsbench.images.samples import sample_photos
        from clsbench.images.sources.opening import open_images

        if images is None:
            if labels is not None:
                raise OptionError("labels are for images", where="--labels", got=labels, hint="add --images DIR")
            return cls("two embedded photos", open_images(sample_photos()).entries, embedded_photos())
        if labels not in (None, "none") and not Path(str(labels)).is_file():
            raise DataError("there is no such file of labels", where="--labels", got=labels)
        wanted = Wanted(images, labels=labels)
        source = open_source(images, choose(wanted.components())["source"], (), observer)
        rows = spread(len(source.entries), count)
        judged = [source.entries[k] for k in rows]
        return cls(source.location, source.entries, judged, source, wanted, rows)

    def labels(self, file: Path, card: ModelCard, observer: Observer) -> NDArray[np.int64] | None:
        """int64 (n,) of the judged images for a model; None where they are not known."""
        import numpy as np

        if self.wanted is None or self.source is None:
            return None
        try:
            truth = self.wanted.labels_of(self.source, card)
        except DataError as error:
            observer.warn(f"no accuracy of {file}: {error.one_line()}")
            return None
        if truth.source is None:
            for note in truth.notes:
                observer.warn(f"{file}: {note}")
            return None
        return np.array(truth.index, np.int64)[self.rows]


def _row(
    file: Path, card: ModelCard, engine: Engine, size: int | None, device: str, labels: NDArray[np.int64] | None
) -> Contender:
    from clsbench.inference.bench_rounds import Contender

    opener = engine.chosen.offered(batch_size=size, tune="off" if size else "quick").opener()
    return Contender(
        model=file, card=card, engine=engine.label, open=partial(opener, file, device), batch_size=size, labels=labels
    )


def _with_fallback(engine: Engine, *, alone: bool) -> Engine:
    """Allow a GPU's engine the CPU; one of several that knows no such option goes without."""
    chosen = engine.chosen.asked(allow_fallback=True) if alone else engine.chosen.offered(allow_fallback=True)
    return Engine(chosen, engine.variant)
