"""The HTML report: one file with everything in it, from an evaluation and the prediction table.

    wanted = wanted_images(evaluation, table)
    write_report(Path("report.html"), evaluation, table, thumbnails={name: small_jpeg(name) for name in wanted})

``page.py`` renders it. The other modules turn values of metrics into what the templates show: text and
numbers ready to print, never markup.
"""

from clsbench.evaluation.report.page import render_report, write_report
from clsbench.evaluation.report.sentences import sentences
from clsbench.evaluation.report.thumbnails import wanted_images

__all__ = ["render_report", "sentences", "wanted_images", "write_report"]
