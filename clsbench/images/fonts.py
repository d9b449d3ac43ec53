"""Fonts for the scripts that names are written in: matplotlib's own has Latin, Greek, Cyrillic and few others.

What it lacks is looked for in the fonts of the system, including those installed since matplotlib cached their list.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

_log = logging.getLogger("clsbench")

#: Fonts with a placeholder for every character.
PLACEHOLDERS = ("lastresort", "adobeblank")

#: Debian and Ubuntu packages with the glyphs that may be missing.
CJK, SYMBOLS, OTHERS = "fonts-noto-cjk", "fonts-symbola", "fonts-noto-core"

#: How the Unicode names of Chinese, Japanese and Korean characters begin.
CJK_NAMES = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH")


def families(texts: Iterable[str]) -> list[str]:
    """The font families that draw texts: matplotlib's own first, then those with the characters it lacks.

    Characters that no font has are told once, as a warning of the logger ``clsbench``.

    Args:
        texts: In any script.
    """
    import matplotlib

    drawn = frozenset(c for text in texts for c in text if not c.isascii() and _visible(c))
    more, missing = _fallbacks(drawn) if drawn else ((), "")
    for kind, package in sorted({_kind(c) for c in missing}):
        _warn(kind, package)
    return [*matplotlib.rcParams["font.family"], *more]


def _visible(character: str) -> bool:
    """Whether it has a shape of its own; spaces, joiners and variation selectors have none."""
    return character.isprintable() and not character.isspace() and not 0xFE00 <= ord(character) <= 0xFE0F


@cache
def _fallbacks(characters: frozenset[str]) -> tuple[tuple[str, ...], str]:
    """Families beside matplotlib's own, the most useful first, and the characters that none has."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    missing = {c for c in characters if not FT2Font(findfont(FontProperties())).get_char_index(ord(c))}
    chosen: list[str] = []
    fonts = list(_fonts()) if missing else []
    while missing:
        best: set[str] = set()
        for entry in fonts:
            font = FT2Font(entry.fname)
            found = {c for c in missing if font.get_char_index(ord(c))}
            if len(found) > len(best):
                best, family = found, entry.name
            if found == missing:
                break
        if not best:
            break
        chosen.append(family)
        missing -= best
    return tuple(chosen), "".join(sorted(missing))


def _fonts() -> Iterator[FontEntry]:
    """A font of each file, upright and sans-serif ones first."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    known = {entry.fname for entry in fontManager.ttflist}
    for file in sorted(set(findSystemFonts()) - known):
        try:
            fontManager.addfont(file)
        except Exception:  # noqa: BLE001  bitmap fonts and damaged ones raise almost anything
            continue
    seen = set()
    for entry in sorted(fontManager.ttflist, key=_preference):
        name = entry.name.replace(" ", "").replace(".", "").lower()
        if entry.fname not in seen and not name.startswith(PLACEHOLDERS):
            seen.add(entry.fname)
            yield entry


def _preference(entry: FontEntry) -> tuple[object, ...]:
    """Smaller is better."""
    name, weight = entry.name.lower(), entry.weight if isinstance(entry.weight, int) else 400
    special = any(word in name for word in ("serif", "mono")) and "sans serif" not in name
    return entry.style != "normal", special, "sans" not in name, abs(weight - 400), entry.fname, entry.index


def _kind(character: str) -> tuple[str, str]:
    """What a character is one of, and the package that has them."""
    name = unicodedata.name(character, "UNUSUAL")
    if name.startswith(CJK_NAMES):
        return "Chinese, Japanese and Korean characters", CJK
    if unicodedata.category(character).startswith("S"):
        return "symbols", SYMBOLS
    return f"{name.split(' ')[0].capitalize()} characters", OTHERS


@cache
def _warn(kind: str, package: str) -> None:
    """Say it, once."""
    _log.warning(
        "%s are drawn as boxes: no installed font has them (on Debian and Ubuntu, apt install %s brings one)",
        kind, package,
    )  # fmt: skip
