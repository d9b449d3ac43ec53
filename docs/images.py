"""The images of README, drawn from a real run: a table as the terminal shows it, and the report in a browser.

    python docs/images.py ants-and-bees/            # class folders with train/ and val/

Trains the head of efficientnet-lite0 (its weights come by pip), infers the validation images, and writes
``infer.svg`` and ``report.png`` beside this file. Needs the extras ``train`` and ``dev``, the plugin,
and a Chromium (the environment variable CHROMIUM, or /usr/bin/chromium).
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.text import Text

import clsbench

HERE = Path(__file__).parent

#: Of the SVG, without the fonts that it would fetch from the web.
TEMPLATE = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def table(command: list[str], file: Path) -> None:
    """What a command prints on a terminal of 80 columns, as an SVG."""
    environment = {**os.environ, "COLUMNS": "80", "FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True, check=True)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=80, file=nowhere)
        console.print(Text.from_ansi(done.stdout.rstrip()))
        console.save_svg(str(file), title=" ".join(command[:2]), code_format=TEMPLATE)


def screenshot(page_file: Path, file: Path) -> None:
    """The first screen of a page, as a PNG."""
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=arguments
        )
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        page.goto(page_file.as_uri())
        page.screenshot(path=file)
        browser.close()


def main() -> None:
    """Train, infer, evaluate, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="class folders with train/ and val/ above them")
    data = parser.parse_args().data.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("val").symlink_to(data / "val")
        trained = clsbench.train(data, model="efficientnet-lite0", pretrained=True, recipe="frozen")
        exported = clsbench.export(trained.run.path)
        clsbench.infer(data / "val", model=exported.file, out="preds.csv", probabilities=True)
        clsbench.evaluate("preds.csv", html="report.html", images=data / "val")
        few = [image for name in ("ants", "bees") for image in sorted(Path("val", name).iterdir())[:4]]
        table(["clsbench", "infer", *map(str, few), "--model", str(exported.file)], HERE / "infer.svg")
        screenshot(Path("report.html").resolve(), HERE / "report.png")


if __name__ == "__main__":
    main()
