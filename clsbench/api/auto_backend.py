"""``infer --backend auto``: which of the installed engines runs this model fastest on this machine, and as it should?

Each engine runs sample images of the job and is held to the gate: it must say what the reference says, which is ONNX
Runtime with the same file, in float32 unless the file itself is coarser. Those that pass are measured in turns, and
the fastest is taken and kept in the tuning cache. Nothing of it is silent: the choice and its reasons are notes, and
in the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.carried import check_opened
from clsbench.api.components import Chosen
from clsbench.api.engine_gate import held, judged, said, sample
from clsbench.api.engines import Engine, variants_of
from clsbench.api.observer import Observer, SilentObserver
from clsbench.errors import ClsbenchError, DeviceError, ModelError, OptionError
from clsbench.options import OptionValue

if TYPE_CHECKING:
    from clsbench.api.engine_gate import Said
    from clsbench.card import ModelCard
    from clsbench.images.entries import Entry
    from clsbench.inference.backend import Backend
    from clsbench.inference.engine_choice import EngineChoice, TriedEngine
    from clsbench.predictions.job import JobIdentity

#: Rounds of windows, seconds of one, and images of the job that they are made of.
ROUNDS, WINDOW, TIMED = 5, 0.3, 256

#: How many times as fast as the reference another engine has to be: less is within the noise.
WORTH = 1.05

#: The backend that is the reference, but for files made for another one.
REFERENCE = "onnxruntime"


@dataclass(frozen=True, kw_only=True)
class AutoBackend:
    """The question which engine is to run a job.

    Args:
        model: The file.
        card: Its card.
        device: As it was asked for.
        backends: The installed ones, with the options that were given to each.
        flags: What the engine must be able to take: ``streams``, ``threads``, ``allow_fallback``; None if not given.
        batch_size: Of a call, if it was given.
        tune: How engines that can measure their plan do so.
        features: Whether it must give features.
        observer: Hears the choice and its reasons.
    """

    model: Path
    card: ModelCard
    device: str
    backends: Sequence[Chosen]
    flags: Mapping[str, OptionValue]
    batch_size: int | None
    tune: str
    features: bool
    observer: Observer

    def choose(self, entries: Sequence[Entry], then: JobIdentity | None) -> tuple[Chosen, EngineChoice]:
        """The engine for a job, with the flags.

        Args:
            entries: The images of the job.
            then: The job that is continued, if one is: it goes on in the engine in which it began.

        Raises:
            ClsbenchError: of the reference, if no engine can be used.
        """
        from clsbench.inference.engine_choice import EngineChoice

        engines = self._named(variants_of(self.backends))
        usable = {name: chosen for name, engine in engines.items() if (chosen := self._flagged(engine))}
        began = next((name for name, chosen in usable.items() if then and _ran(chosen, then)), None)
        choice = EngineChoice(engine=began, source="resumed") if began else self._recalled(usable)
        choice = choice or self._measured(engines, entries)
        first, *reasons = choice.notes()
        for note in (f"backend: {first}", *reasons):
            self.observer.note(note)
        return usable[choice.engine], choice

    def _named(self, engines: Sequence[Engine]) -> dict[str, Engine]:
        """The engines by their labels, the reference first; by qualified labels where two plugins have the same."""
        made_for = self.card.made_for or REFERENCE
        ordered = sorted(engines, key=lambda engine: engine.label != made_for)
        labels = [engine.label for engine in ordered]
        return {e.label if labels.count(e.label) == 1 else e.qualified: e for e in ordered}

    def _flagged(self, engine: Engine) -> Chosen | None:
        try:
            return engine.chosen.asked(**self.flags)
        except OptionError:
            return None

    def _key(self, usable: Mapping[str, Chosen]) -> str:
        """Everything that the choice depends on."""
        from clsbench.inference.cuda_driver import gpu_versions
        from clsbench.inference.tuning_cache import machine_facts, version_facts
        from clsbench.model_file import model_hash

        gpus = " ".join(f"{name} {version}" for name, version in gpu_versions().items())
        asked = f"batch {self.batch_size}" + (", features" if self.features else "")
        engines = "; ".join(f"{n} {sorted(c.options.items())} {_versions(c)}" for n, c in usable.items())
        parts = ("backend", model_hash(self.model), machine_facts(), self.device, gpus, version_facts(), asked, engines)
        return " | ".join(parts)

    def _recalled(self, usable: Mapping[str, Chosen]) -> EngineChoice | None:
        """The choice that was kept; None where there is none, or it cannot be used."""
        from clsbench.inference.engine_choice import EngineChoice
        from clsbench.inference.tuning_cache import recall
        from clsbench.json_fields import read_fields

        try:
            found = read_fields(EngineChoice, recall(self._key(usable)) or {}, what="a choice of an engine")
        except ModelError:
            return None
        return replace(found, source="cache") if found.engine in usable else None

    def _measured(self, engines: Mapping[str, Engine], entries: Sequence[Entry]) -> EngineChoice:
        """The fastest engine that answers as the reference does."""
        from clsbench.inference.engine_choice import EngineChoice
        from clsbench.inference.tuning_cache import keep

        with ExitStack() as stack:
            tried, opened = self._compared(engines, entries, stack)
            stack.pop_all()  # each is closed by who measures it
            tried = self._timed(tried, opened, entries)
        running = [one for one in tried if one.reason is None]
        best = max(running, key=lambda one: one.ratio or 0.0)
        reference = next((one for one in running if one.images is None), best)
        engine = best if (best.ratio or 0.0) >= WORTH else reference
        choice = EngineChoice(engine=engine.engine, source="measured", tried=tuple(tried))
        keep(self._key({name: c for name, e in engines.items() if (c := self._flagged(e))}), choice.to_json())
        return choice

    def _compared(
        self, engines: Mapping[str, Engine], entries: Sequence[Entry], stack: ExitStack
    ) -> tuple[list[TriedEngine], dict[str, Backend]]:
        """What the gate says of each engine, and those that agree, which ``stack`` closes.

        Raises:
            ClsbenchError: of the reference, if it cannot be used, or only on the CPU and no other engine can.
        """
        from clsbench.inference.engine_choice import TriedEngine

        self.observer.stage("comparing backends", len(engines))
        (first, *others), images = engines, sample(entries)
        opened: dict[str, Backend] = {}
        refused: ClsbenchError | None = None
        with ExitStack() as aside:
            try:
                reference = opened[first] = stack.enter_context(closing(self._open(engines[first])))
            except (DeviceError, OptionError) as error:  # others may know the device
                refused = error
                reference = aside.enter_context(closing(self._open(engines[first], "cpu")))
            known = said(reference, self.card, images)
            tried = [TriedEngine(engine=first, reason=_not_usable(refused) if refused else None)]
            for name in others:
                self.observer.advance(1)
                one, backend = self._against(known, name, engines[name], stack)
                tried.append(one)
                opened |= {name: backend} if backend else {}
        if refused and not opened:
            raise refused
        return tried, opened

    def _against(self, known: Said, name: str, engine: Engine, stack: ExitStack) -> tuple[TriedEngine, Backend | None]:
        """What the gate says of one engine, and its backend if it agrees."""
        from clsbench.inference.engine_choice import TriedEngine

        one = TriedEngine(engine=name)
        try:
            with ExitStack() as own:
                backend = own.enter_context(closing(self._open(engine)))
                check_opened(self.model, self.card, engine.chosen.resolved.component.name, backend, SilentObserver())
                one = judged(one, held(backend, known))
                if one.reason is None:
                    stack.push(own.pop_all())
                    return one, backend
        except ClsbenchError as error:
            one = replace(one, reason=_not_usable(error))
        return one, None

    def _open(self, engine: Engine, device: str | None = None) -> Backend:
        """A backend with the model in it, as the job would open it.

        Raises:
            ClsbenchError: if it cannot be used for the job.
        """
        from clsbench.inference.backend import check_backend, require_features

        chosen = engine.chosen.asked(**self.flags).offered(batch_size=self.batch_size, tune=self.tune)
        backend: Backend = chosen.opener()(self.model, device or self.device)
        try:
            check_backend(backend)
            if self.features:
                require_features(backend)
        except ClsbenchError:
            backend.close()
            raise
        return backend

    def _timed(
        self, tried: Sequence[TriedEngine], opened: Mapping[str, Backend], entries: Sequence[Entry]
    ) -> list[TriedEngine]:
        """The same with the rates of those that agree, from files to labels, in turns; closes them."""
        from clsbench.exporting.gate_images import spread
        from clsbench.inference.bench_rounds import Contender, run_benchmarks

        rows = [
            Contender(
                model=self.model, card=self.card, engine=name, open=partial(_give, backend), batch_size=self.batch_size
            )
            for name, backend in opened.items()
        ]
        some = [entries[k] for k in spread(len(entries), TIMED)]
        made = run_benchmarks(
            rows, some, judged=(), window=WINDOW, rounds=ROUNDS, stage=self.observer.stage, step=self.observer.advance
        )
        rates = {row.engine: row for row in made}
        if all(row.failure for row in made) and made[0].failure:
            raise made[0].failure
        found = []
        for one in tried:
            row = rates.get(one.engine)
            if row and row.failure:
                found.append(replace(one, reason=_not_usable(row.failure)))
            elif row:
                found.append(replace(one, images_per_second=row.end_to_end.value, ratio=row.ratio))
            else:
                found.append(one)
        return found


def _give(backend: Backend) -> Backend:
    return backend


def _not_usable(error: ClsbenchError) -> str:
    return f"not usable: {error.one_line()}"


def _ran(chosen: Chosen, then: JobIdentity) -> bool:
    """Whether a job was run in this engine."""
    return then.options.get(f"backend {chosen.name}") == str(dict(sorted(chosen.options.items())))


def _versions(chosen: Chosen) -> str:
    """The versions of the distribution of a plugin, and of what it requires; of a built-in one they are known."""
    from importlib.metadata import PackageNotFoundError, requires

    from clsbench.inference.diagnostics import installed_version

    if chosen.resolved.owner is None:
        return ""
    plugin = chosen.resolved.plugin
    try:
        needed = requires(plugin.distribution) or []
    except PackageNotFoundError:
        needed = []
    names = [found.group() for text in needed if (found := re.match(r"[A-Za-z0-9._-]+", text))]
    return " ".join([plugin.version, *(f"{name} {installed_version(name)}" for name in names)])
