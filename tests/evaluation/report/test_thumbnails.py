import base64
import io

import numpy as np
import pytest
from PIL import Image

from clsbench.evaluation.report.thumbnails import LABEL_ERRORS, LOSSES, Pictures, wanted_images


def test_top_losses_come_first_then_label_errors_then_other_mistakes(birds):
    metrics = birds.facts["metrics"]
    losses = [row["name"] for row in metrics["top_losses"][:LOSSES]]
    labels = [row["name"] for row in metrics["label_errors"]["images"][:LABEL_ERRORS]]
    wanted = wanted_images(birds.facts, birds.table)
    assert wanted[: len(losses)] == losses
    assert set(labels) <= set(wanted[: len(losses) + len(labels)])
    assert len(wanted) == len(set(wanted))
    table = birds.table
    wrong = np.flatnonzero((table.labels >= 0) & (table.predicted >= 0) & (table.predicted != table.labels))
    assert set(wanted) == {table.names[int(row)] for row in wrong} | set(labels)
    assert wanted_images(birds.facts, table, limit=5) == losses[:5]


def test_without_the_table_only_the_facts_tell(birds):
    names = {row["name"] for row in birds.facts["metrics"]["top_losses"][:LOSSES]}
    names |= {row["name"] for row in birds.facts["metrics"]["label_errors"]["images"][:LABEL_ERRORS]}
    assert set(wanted_images(birds.facts, None)) == names
    assert wanted_images(birds.facts | {"metrics": {}}, None) == []


@pytest.mark.parametrize(("form", "media"), [("JPEG", "jpeg"), ("WEBP", "webp"), ("PNG", "png")])
def test_pictures_become_data_uris_of_their_format(form, media):
    data = io.BytesIO()
    Image.new("RGB", (4, 4)).save(data, form)
    picture = Pictures({"x": data.getvalue()}).embed("x")
    assert picture.uri == f"data:image/{media};base64,{base64.b64encode(data.getvalue()).decode()}"


@pytest.mark.parametrize("data", [b"", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", b"GIF89a"])
def test_other_formats_are_refused(data):
    with pytest.raises(ValueError, match="'x' is no JPEG, WebP or PNG"):
        Pictures({"x": data})


def test_a_budget_that_is_used_up_is_told(thumbnail):
    pictures = Pictures({name: thumbnail(40) for name in "abc"}, budget=100)
    assert [pictures.embed(name) is not None for name in "aba"] == [True, True, False]
    assert pictures.left_out == 0
    assert pictures.embed("c") is None
    assert pictures.embed("unknown") is None
    assert pictures.left_out == 1
    assert (pictures.key("a"), pictures.key("b"), pictures.key("c")) == (0, 1, None)
    assert bool(pictures)
    assert not Pictures(None)
