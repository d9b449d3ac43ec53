"""Engines: backends with options, as ``bench --backends`` names them and ``--backend auto`` finds them.

onnxruntime,openvino:precision=bf16     two engines; more options follow after another colon
all                                     every installed backend in the variants it offers, but for oracles
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clsbench.api.components import Chosen, Options, choose, colon_options, option_texts, registry
from clsbench.api.observer import Observer
from clsbench.errors import OptionError
from clsbench.options import OptionValue

#: Stands for every installed backend; where one is to be chosen of them.
ALL, AUTO = "all", "auto"


@dataclass(frozen=True)
class Engine:
    """A backend with options.

    Args:
        chosen: It.
        variant: Those of its options that tell it from others: name -> value.
    """

    chosen: Chosen
    variant: tuple[tuple[str, OptionValue], ...] = ()

    @property
    def label(self) -> str:
        """As ``--backends`` takes it: ``openvino:precision=bf16``."""
        return ":".join([self.chosen.resolved.component.name, *(f"{name}={value}" for name, value in self.variant)])

    @property
    def qualified(self) -> str:
        """The same with the plugin's name, which tells two of the same name apart."""
        return f"{self.chosen.resolved.plugin.name}/{self.label}"


def named_engines(wanted: str | Sequence[str], options: Options = (), observer: Observer | None = None) -> list[Engine]:
    """The engines that a user names.

    Args:
        wanted: ``onnxruntime,openvino:precision=bf16``, a sequence of these, or ``all``.
        options: As ``--with`` takes them, of all of them together; those of ``wanted`` count before them.
        observer: Hears which plugins are broken.

    Raises:
        OptionError: if a name or an option is not known, or nothing is named.
        PluginError: for an ambiguous or broken plugin.
    """
    texts = wanted.split(",") if isinstance(wanted, str) else list(wanted)
    texts = [text.strip() for text in texts]
    if texts == [ALL]:
        return variants_of(choose({"backend": installed_names(observer)}, options)["backend"])
    if not texts or not all(texts) or ALL in texts:
        raise OptionError(
            "cannot read the backends", where="--backends", got=",".join(texts) or "nothing",
            expected="for example onnxruntime,openvino:precision=bf16, or all alone",
        )  # fmt: skip
    parts = [text.split(":") for text in texts]
    made = choose({"backend": [name for name, *_ in parts]}, options)["backend"]
    engines = [_engine(chosen, variant) for chosen, (_, *variant) in zip(made, parts, strict=True)]
    return _distinct(engines)


def named_backend(wanted: str, options: Options = ()) -> tuple[str, list[str]]:
    """The one backend that a user names, with options after colons as ``--backends`` takes them.

    Args:
        wanted: ``openvino:precision=bf16``.
        options: Those of all components, as ``--with`` takes them.

    Returns:
        The name, and all options as ``--with`` takes them.

    >>> named_backend("openvino:precision=bf16", ["writer.key=1"])
    ('openvino', ['writer.key=1', 'openvino.precision=bf16'])
    """
    name, *own = wanted.split(":")
    return name, [*option_texts(options), *(f"{name}.{text}" for text in own)]


def installed_names(observer: Observer | None = None) -> list[str]:
    """The backends that may run unasked, the built-in ones first, by qualified name; loads all plugins.

    Args:
        observer: Hears which plugins are broken.
    """
    found = [resolved.qualified for resolved in registry().components("backend") if resolved.component.variants]
    if observer:
        for plugin in registry().broken():
            observer.warn(f"plugin {plugin} is left out: {plugin.trouble}")
    return found


def variants_of(backends: Sequence[Chosen]) -> list[Engine]:
    """Backends in each variant that they offer; one that contradicts the options they have is left out."""
    return _distinct([
        _engine(chosen, variant.split(":") if variant else [], fixed=True)
        for chosen in backends
        for variant in chosen.resolved.component.variants
    ])  # fmt: skip


def _engine(chosen: Chosen, texts: Sequence[str], *, fixed: bool = False) -> Engine:
    """A backend with the options of a variant; with ``fixed`` those that it has already count before these."""
    variant = colon_options(chosen.resolved, texts, where="--backends", example="openvino:precision=bf16")
    options = {**variant, **chosen.options} if fixed else {**chosen.options, **variant}
    named = tuple((name, options[name]) for name in variant)
    return Engine(replace(chosen, options=options), named)


def _distinct(engines: Sequence[Engine]) -> list[Engine]:
    """The engines without those that come to the same as an earlier one."""
    kept: list[Engine] = []
    for engine in engines:
        if not any(engine.chosen == other.chosen for other in kept):
            kept.append(engine)
    return kept


def short_label(engine: str) -> str:
    """The label of an engine as a table shows it: ``openvino:bf16`` for ``openvino:precision=bf16``.

    >>> short_label("openvino:precision=bf16"), short_label("torch:compile=True"), short_label("acme:threads=2")
    ('openvino:bf16', 'torch:compile', 'acme:threads=2')
    """
    name, *options = engine.split(":")
    return ":".join([name, *map(_short_option, options)])


def _short_option(option: str) -> str:
    name, _, value = option.partition("=")
    if value == "True":
        return name
    return value if value and not value.isdigit() and value != "False" else option
