import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from clsbench.evaluation.report.thumbnails import LABEL_ERRORS, LOSSES, Thumbnails, wanted_images
from clsbench.predictions.metric import Metrics


def test_top_losses_come_first_then_label_errors_then_other_mistakes(birds):
    metrics = birds.facts["metrics"]
    losses = [row["name"] for row in metrics["top_losses"][:LOSSES]]
    labels = [row["name"] for row in metrics["label_errors"]["images"][:LABEL_ERRORS]]
    wanted = wanted_images(birds.evaluation, birds.table)
    assert wanted[: len(losses)] == losses
    assert set(labels) <= set(wanted[: len(losses) + len(labels)])
    assert len(wanted) == len(set(wanted))
    table = birds.table
    wrong = np.flatnonzero((table.labels >= 0) & (table.predicted >= 0) & (table.predicted != table.labels))
    assert set(wanted) == {table.names[int(row)] for row in wrong} | set(labels)
    assert wanted_images(birds.evaluation, table, limit=5) == losses[:5]


def test_without_the_table_only_the_metrics_tell(birds):
    names = {row["name"] for row in birds.facts["metrics"]["top_losses"][:LOSSES]}
    names |= {row["name"] for row in birds.facts["metrics"]["label_errors"]["images"][:LABEL_ERRORS]}
    assert set(wanted_images(birds.evaluation, None)) == names
    assert wanted_images(replace(birds.evaluation, metrics=Metrics()), None) == []


@pytest.mark.parametrize(("form", "media"), [("JPEG", "jpeg"), ("WEBP", "webp"), ("PNG", "png")])
def test_thumbnails_become_data_uris_of_their_format(form, media):
    data = io.BytesIO()
    Image.new("RGB", (4, 4)).save(data, form)
    made = Thumbnails({"x": data.getvalue()}).embed("x")
    assert made.uri == f"data:image/{media};base64,{base64.b64encode(data.getvalue()).decode()}"


@pytest.mark.parametrize("data", [b"", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"GIF89a"])
def test_other_formats_are_refused(data):
    with pytest.raises(ValueError, match="'x' is not a JPEG, WebP or PNG"):
        Thumbnails({"x": data})


def test_a_budget_that_is_used_up_is_told(thumbnail):
    thumbnails = Thumbnails({name: thumbnail(40) for name in "abc"}, budget=100)
    assert [thumbnails.embed(name) is not None for name in "aba"] == [True, True, False]
    assert thumbnails.left_out == 0
    assert thumbnails.embed("c") is None
    assert thumbnails.embed("unknown") is None
    assert thumbnails.left_out == 1
    assert (thumbnails.key("a"), thumbnails.key("b"), thumbnails.key("c")) == (0, 1, None)
    assert bool(thumbnails)
    assert not Thumbnails(None)
