"""``doctor``: does this machine do what it will be asked to do?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clsbench.api.components import registry
from clsbench.api.observer import Observer

if TYPE_CHECKING:
    from clsbench.inference.diagnostics import Diagnostic


@dataclass(frozen=True)
class Diagnosis:
    """What every check found."""

    checks: tuple[Diagnostic, ...]

    @property
    def faults(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if check.status == "fault"]

    @property
    def verdict(self) -> str:
        """All of it in one sentence."""
        missing = [check.name for check in self.checks if check.status == "absent"]
        found = (
            f"{len(self.faults)} at fault: {', '.join(self.faults)}" if self.faults else "everything installed works"
        )
        return f"{found}; not available here: {', '.join(missing)}" if missing else found

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        checks = [asdict(check) for check in self.checks]
        return {"schema": 1, "healthy": not self.faults, "verdict": self.verdict, "checks": checks}


def doctor(*, observer: Observer | None = None) -> Diagnosis:
    """Check devices, codecs, threads and plugins by using them."""
    from clsbench.inference.diagnostics import diagnose

    (observer or Observer()).stage("checking")
    return Diagnosis(tuple(diagnose(registry().plugins)))
