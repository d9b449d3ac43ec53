"""JobIdentity: what decides the predictions of a job, so that only the same job is continued."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clsbench.json_fields import parse_object, read_fields
from clsbench.text import counted


@dataclass(frozen=True, kw_only=True)
class JobIdentity:
    """What decides the rows of a predictions file, apart from labels and columns.

    Args:
        model: SHA-256 of the model file, in hex.
        images: Number of images.
        names: SHA-256 of their names, in order.
        options: What else decides the predictions, such as the backend and its options: name -> text.
        form: What decides how the file looks beyond that, such as columns and labels, as a hash. A job may be continued
            in another form, but a finished file is not that of another form.
        device: What the model runs on, as it is known once the job runs.
        plan: How the model is called, likewise: ``batch_size``, ``streams``, ``threads`` and perhaps ``graph_level``. A
            continued job is called in the same way: another size of a batch may change the last digit.
        overwrite: Whether an earlier file of that name is to be replaced.
        stamps: SHA-256 of the sizes and modification times of all images when the job began.
    """

    model: str
    images: int
    names: str
    options: Mapping[str, str] = field(default_factory=dict)
    form: str | None = None
    device: str | None = None
    plan: Mapping[str, int | str] = field(default_factory=dict)
    overwrite: bool = False
    stamps: str | None = None

    def to_text(self) -> bytes:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True).encode()

    @classmethod
    def from_text(cls, text: bytes, where: object) -> JobIdentity:
        """The inverse of :meth:`to_text`.

        Raises:
            ModelError: if it is damaged.
        """
        what = "the description of a job"
        return read_fields(cls, parse_object(text, what=what, where=where), what=what, where=where)

    def differences(self, now: JobIdentity) -> list[str]:
        """What has changed, in words; the stamps are left to who knows for which images they matter."""
        found = ["the model file"] if self.model != now.model else []
        for name in sorted({*self.options, *now.options}):
            then, given = self.options.get(name), now.options.get(name)
            if then != given:
                found.append(f"{name} {given or 'not given'}, was {then or 'not given'}")
        if self.device and now.device and self.device != now.device:
            found.append(f"it runs on {now.device}, ran on {self.device}")
        if self.images != now.images:
            found.append(f"{counted(now.images, 'image')}, were {self.images:,}")
        elif self.names != now.names:
            found.append("the names of the images, or their order")
        return found


def hash_names(names: Iterable[str]) -> str:
    """SHA-256 of names in their order, in hex; they need not be UTF-8."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()


def hash_stamps(stamps: NDArray[np.int64]) -> str:
    """SHA-256 of the stamps of images in their order, int64 (N, 2), in hex."""
    return hashlib.sha256(np.ascontiguousarray(stamps, "<i8").tobytes()).hexdigest()
