"""EngineChoice: which engine runs a job that left this open, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from clsbench.text import counted


@dataclass(frozen=True, kw_only=True)
class TriedEngine:
    """What was found out about one engine.

    Args:
        engine: Its backend and options: ``openvino:precision=bf16``.
        images_per_second: From files to labels; None where it was not measured.
        ratio: That over the reference's, the median of rounds in turns.
        images: How many images it was compared with the reference on.
        agreement: The share of them with the same top-1.
        difference: The largest of a probability.
        tolerance: What that may be.
        reason: Why it was not to be chosen, if it was not.
    """

    engine: str
    images_per_second: float | None = None
    ratio: float | None = None
    images: int | None = None
    agreement: float | None = None
    difference: float | None = None
    tolerance: float | None = None
    reason: str | None = None

    def __str__(self) -> str:
        times = "" if self.ratio is None or self.images is None else f", {self.ratio:.2f} times the reference's"
        parts = [] if self.images_per_second is None else [f"{self.images_per_second:.1f} images/s{times}"]
        if self.images is not None and self.agreement is not None and self.difference is not None:
            same = round(self.agreement * self.images)
            allowed = "" if self.tolerance is None else f" (allowed: {self.tolerance:.3g})"
            parts.append(f"the same top-1 for {same} of {counted(self.images, 'image')}")
            parts.append(f"probabilities within {self.difference:.2g}{allowed}")
        elif self.reason is None:
            parts.append("the reference")
        return f"{self.engine}: {', '.join(parts)}" + (f"{'; ' if parts else ''}{self.reason}" if self.reason else "")


@dataclass(frozen=True, kw_only=True)
class EngineChoice:
    """The engine of a job, chosen from those that are installed.

    Args:
        engine: It: ``openvino:precision=bf16``.
        source: ``measured`` now, recalled from the ``cache``, or that of the job that is ``resumed``.
        tried: What was found out about each; empty for a resumed job.
    """

    engine: str
    source: Literal["measured", "cache", "resumed"]
    tried: tuple[TriedEngine, ...] = ()

    def notes(self) -> Iterator[str]:
        """The choice, and its reasons line by line."""
        if self.source == "resumed":
            yield f"{self.engine}, in which the job began"
            return
        when = "measured now, and kept for" if self.source == "measured" else "as it was measured earlier for"
        chosen = next((one for one in self.tried if one.engine == self.engine), None)
        others = chosen is not None and chosen.ratio is not None and chosen.images is not None
        faster = f", {chosen.ratio:.2f} times as fast as the reference" if chosen and others else ""
        yield f"{self.engine}{faster}; {when} this model and machine"
        for one in self.tried:
            yield f"  {one}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "tried": [asdict(one) for one in self.tried]}
