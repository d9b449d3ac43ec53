"""The plug points: what a plugin may offer, and the shape each offer takes.

A plugin is a module (or object) named by an entry point in the group ``clsbench``. It
marks functions with :data:`hookimpl`; each takes no arguments and yields
:class:`Component` values. Writing hooks as generators lets clsbench stop at the
component it needs, so put heavy imports inside ``build`` or after the cheap yields.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from clsbench.component import Component

PROJECT = "clsbench"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_models() -> Iterable[Component]:
    """Networks: ``build(num_classes, *, pretrained, …) -> Classifier``.

    ``num_classes=None`` asks for the network as it was trained, with its own class
    names; import torch inside ``build`` only.

    >>> from clsbench import Component, hookimpl
    >>> def build(num_classes, *, pretrained: bool = False, width: int = 64):
    ...     from clsbench import Classifier  # imports torch
    >>> @hookimpl
    ... def register_models():
    ...     yield Component("tiny", build, "a tiny network")
    >>> [component.name for component in register_models()]
    ['tiny']
    """
    raise NotImplementedError


@hookspec
def register_datasets() -> Iterable[Component]:
    """Labelled images: ``build(root, *, …) -> Dataset``; no torch.

    ``root`` is None, a Path, or text where it is a URL such as ``s3://bucket/photos``.
    The dataset holds the splits that the data gives, all of it being ``train`` where it gives
    none; clsbench makes the others.

    >>> from clsbench import BytesEntry, Component, Dataset, Sample, hookimpl
    >>> def build(root, *, small: bool = False):
    ...     cat, dog = Sample(BytesEntry("a.png", b""), label=0), Sample(BytesEntry("b.png", b""), label=1)
    ...     return Dataset(classes=("cat", "dog"), splits={"train": [cat, dog]})
    >>> @hookimpl
    ... def register_datasets():
    ...     yield Component("pets", build, "cats and dogs")
    >>> [c.build(None).classes for c in register_datasets()]
    [('cat', 'dog')]
    """
    raise NotImplementedError


@hookspec
def register_sources() -> Iterable[Component]:
    """Where images come from: ``build(location, *, …) -> Source``.

    ``Component.opens`` names the URL schemes and suffixes that the source opens. A source has
    ``location`` (text), ``entries`` (a sequence in a stable order) and ``skipped`` (what was
    left out, and why). An entry has a ``name``, a stable id such as a relative path, and
    ``read()``, which gives its encoded bytes, or its pixels uint8 (H, W, 3). ``read`` is called
    from several threads, and entries are pickled for other processes; one that waits for a
    network has ``remote = True``, so that more threads read. Of a URL only the scheme
    counts, and what a built-in source opens no other does.

    >>> from clsbench import Component, hookimpl
    >>> class Dot:
    ...     def __init__(self, name): self.name = name
    ...     def read(self): return b"P6 1 1 255 abc"
    >>> class Dots:
    ...     def __init__(self, location, *, count: int = 2):
    ...         self.location, self.skipped = location, ()
    ...         self.entries = [Dot(f"{k}.ppm") for k in range(count)]
    >>> @hookimpl
    ... def register_sources():
    ...     yield Component("dots", Dots, "images of one pixel", opens=("dots://",))
    >>> [[entry.name for entry in c.build("dots://").entries] for c in register_sources()]
    [['0.ppm', '1.ppm']]
    """
    raise NotImplementedError


@hookspec
def register_decoders() -> Iterable[Component]:
    """Image decoders: ``build(*, …) -> decoder``.

    A decoder is callable, bytes -> uint8 (H, W, 3), and has ``formats``, the set of
    format names it reads, as :func:`clsbench.images.formats.sniff` gives them (``jpeg``, ``png``,
    ``tiff``, ``dicom``). A format that is not among them may have any name; since clsbench does not
    know its files in a folder, they are given by name, in a list or as ``'photos/*.ff'``. It
    raises a DataError for what it cannot read, whose text becomes the reason of the row;
    anything but uint8 pixels of that shape ends the job.
    :class:`clsbench.images.decoders.Decoder` says what else it may declare. One that takes
    several images at a time, as on a GPU, also has ``decode_batch`` of :class:`clsbench.BatchDecoder`.

    >>> import numpy as np
    >>> from clsbench import Component, DataError, hookimpl
    >>> class Grey:
    ...     formats = frozenset({"grey"})
    ...     def __call__(self, data):
    ...         if len(data) != 1:
    ...             raise DataError("a grey image has one byte")
    ...         return np.full((1, 1, 3), data[0], np.uint8)
    ...     def decode_batch(self, data, geometries, out, *, interpolation): return [self(one) for one in data]
    >>> @hookimpl
    ... def register_decoders():
    ...     yield Component("grey", Grey, "one grey pixel")
    >>> [c.build()(b"A").shape for c in register_decoders()]
    [(1, 1, 3)]
    """
    raise NotImplementedError


@hookspec
def register_backends() -> Iterable[Component]:
    """Inference engines: ``build(model_path, device, *, …) -> Backend``.

    A backend is callable from several threads, uint8 (N, h, w, 3) -> float32 logits
    (N, K), an array that later calls leave alone; ``device`` is a :class:`clsbench.DeviceInfo`
    about what it truly runs on, ``streams`` is how many calls it profits from at a time, and
    ``batch_size`` the N it prefers. :class:`clsbench.Backend` has defaults for the rest. One that
    can also give the features of the images, for ``infer --features``, has the method
    ``with_features`` of :class:`clsbench.FeatureBackend`; of one without it they cannot be asked.
    ``Component.variants`` says with which options ``--backend auto`` tries it. Backends and decoders are
    built in other processes too: ``build`` is a function or a class of a module, no lambda.

    >>> import numpy as np
    >>> from clsbench import Backend, Component, DeviceInfo, hookimpl
    >>> class Brightness(Backend):
    ...     device, streams, batch_size = DeviceInfo(provider="numpy", device="cpu"), 1, 8
    ...     def __call__(self, images):
    ...         mean = images.reshape(len(images), -1).mean(axis=1, dtype=np.float32)
    ...         return np.stack([mean, 255 - mean], axis=1)
    ...     def close(self): ...
    >>> def build(model_path, device):
    ...     return Brightness()
    >>> @hookimpl
    ... def register_backends():
    ...     yield Component("brightness", build, "light or dark")
    >>> backend = next(register_backends()).build("model.onnx", "cpu")
    >>> backend(np.zeros((2, 4, 4, 3), np.uint8)).shape
    (2, 2)
    """
    raise NotImplementedError


@hookspec
def register_executors() -> Iterable[Component]:
    """Ways to run an inference job: ``build(*, …) -> Executor``.

    An executor has ``run(spec, entries)``, which yields consecutive blocks of
    :class:`clsbench.Predictions` in the order of the entries, one row an entry, without labels.
    The :class:`clsbench.JobSpec` can be pickled and sent to other processes, where
    :func:`clsbench.open_job` opens its model once for as many runs as there are parts.
    ``execution`` says on what it ran: a :class:`clsbench.Execution`, known from the first block on.

    >>> from clsbench import Component, hookimpl, open_job
    >>> class Halves:
    ...     execution = None
    ...     def run(self, spec, entries):
    ...         with open_job(spec) as job:
    ...             for half in (entries[: len(entries) // 2], entries[len(entries) // 2 :]):
    ...                 self.execution = job.execution
    ...                 yield from job.run(half)
    ...             self.execution = job.execution  # with the timing
    >>> @hookimpl
    ... def register_executors():
    ...     yield Component("halves", Halves, "one half, then the other")
    >>> next(register_executors()).name
    'halves'
    """
    raise NotImplementedError


@hookspec
def register_writers() -> Iterable[Component]:
    """Prediction files: ``build(path, card, *, topk, …) -> context manager``.

    The component's name is the suffix it writes (``csv`` writes ``*.csv``). The context
    manager has ``write(Predictions)``, called once a batch in input order. A writer with an
    option ``features: bool`` writes ``Predictions.features`` itself; beside other files they
    become a ``.npy``.

    >>> from clsbench import Component, hookimpl
    >>> class Names:
    ...     def __init__(self, path, card, *, topk: int = 0): self.path, self.names = path, []
    ...     def __enter__(self): return self
    ...     def __exit__(self, *exc): ...
    ...     def write(self, predictions): self.names += predictions.names
    >>> @hookimpl
    ... def register_writers():
    ...     yield Component("names", Names, "names only")
    >>> next(register_writers()).name
    'names'
    """
    raise NotImplementedError


@hookspec
def register_metrics() -> Iterable[Component]:
    """Measures of quality: ``build(*, …) -> outcomes -> {name: value}``.

    The function receives :class:`clsbench.Outcomes`, one entry a labelled image, and returns
    plain numbers, lists and dicts; where there is no value, :class:`clsbench.Absent` with the
    reason, never NaN. A :class:`clsbench.ShownMetric` also says how its values are
    shown in the terminal and in the HTML report.

    >>> from clsbench import Component, Shown, ShownMetric, hookimpl
    >>> def build():
    ...     shown = Shown("mean_confidence", "score", "Mean confidence", "of the predicted classes", format=".2%")
    ...     return ShownMetric(lambda outcomes: {"mean_confidence": float(outcomes.confidence.mean())}, (shown,))
    >>> @hookimpl
    ... def register_metrics():
    ...     yield Component("confidence", build, "mean confidence")
    >>> next(register_metrics()).name
    'confidence'
    """
    raise NotImplementedError


#: Kinds of component as users meet them, and the hook that offers each.
HOOKS = {
    "model": "register_models",
    "dataset": "register_datasets",
    "source": "register_sources",
    "decoder": "register_decoders",
    "backend": "register_backends",
    "executor": "register_executors",
    "writer": "register_writers",
    "metric": "register_metrics",
}
