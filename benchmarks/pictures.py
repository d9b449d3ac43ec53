"""The pictures the benchmarks run on, unpacked and copied into a temporary folder."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from reporting import DATA

HYMENOPTERA, CIFAR10 = DATA / "hymenoptera.tar", DATA / "cifar10.tar.xz"


def unpack(archive: Path, folder: Path, *, below: str = "") -> Path:
    """Unpack the members whose names start with ``below``; the folder they are in."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        tar.extractall(folder, [m for m in tar.getmembers() if m.name.startswith(below)], filter="data")
    return folder


def photos(archive: Path, folder: Path) -> list[Path]:
    """The distinct JPEG photos of an archive (hymenoptera also holds a .gif placeholder), sorted by name."""
    unpack(archive, folder)
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))


def round_robin(sources: list[Path], folder: Path, count: int) -> list[Path]:
    """``count`` files, copies of the sources in turn; sorted by name they keep that order."""
    folder.mkdir(parents=True)
    return [
        Path(shutil.copyfile(sources[k % len(sources)], folder / f"{k:06d}{sources[k % len(sources)].suffix}"))
        for k in range(count)
    ]


def hard_links(sources: list[Path], folder: Path, count: int) -> Path:
    """``count`` names for the sources in turn, a thousand a folder; takes no room."""
    for k in range(count):
        source = sources[k % len(sources)]
        target = folder / f"{k // 1000:03d}" / f"{k:06d}{source.suffix}"
        if k % 1000 == 0:
            target.parent.mkdir(parents=True)
        target.hardlink_to(source)
    return folder
