import numpy as np

from clsbench.evaluation.report import examples
from clsbench.evaluation.report.examples import Listed, images_by_cell


def test_images_are_listed_by_cell_the_least_probable_label_first(judge):
    rows = [
        ("sure.jpg", "a", {"a": 0.9, "b": 0.1}),
        ("unsure.jpg", "a", {"a": 0.6, "b": 0.4}),
        ("wrong.jpg", "a", {"a": 0.4, "b": 0.6}),
        ("very wrong.jpg", "a", {"a": 0.1, "b": 0.9}),
        ("broken.jpg", "a", "damaged"),
        ("unknown.jpg", "", {"b": 1}),
    ]
    found = images_by_cell(judge(["a", "b"], rows).table)
    near = {cell: [(image.name, round(image.confidence, 6)) for image in images] for cell, images in found.items()}
    assert near == {
        (0, 1): [("very wrong.jpg", 0.9), ("wrong.jpg", 0.6)],
        (0, 0): [("unsure.jpg", 0.6), ("sure.jpg", 0.9)],
    }


def test_without_confidences_the_order_is_that_of_the_file(tmp_path):
    from clsbench.predictions.reading import read_predictions

    file = tmp_path / "preds.csv"
    file.write_text("path,label,predicted\nx,a,b\ny,b,b\nz,a,b\n")
    with read_predictions(file) as table:
        assert images_by_cell(table) == {(0, 1): [Listed("x", None), Listed("z", None)], (1, 1): [Listed("y", None)]}


def test_caps_cost_what_is_right_first_and_no_cell_its_first_image(birds, monkeypatch):
    everything = images_by_cell(birds.table)
    monkeypatch.setattr(examples, "PER_MISTAKE", 3)
    monkeypatch.setattr(examples, "PER_CLASS", 2)
    some = images_by_cell(birds.table)
    assert some.keys() == everything.keys()
    for (label, predicted), images in some.items():
        assert images == everything[label, predicted][: 2 if label == predicted else 3]
    wrong = [cell for cell in everything if cell[0] != cell[1]]
    monkeypatch.setattr(examples, "IMAGES", len(wrong) + 1)
    fewer = images_by_cell(birds.table)
    assert set(fewer) == set(wrong)
    assert sum(len(images) for images in fewer.values()) == len(wrong) + 1
    monkeypatch.setattr(examples, "BYTES", 100)
    assert sum(len(images) for images in images_by_cell(birds.table).values()) < 10


def test_every_mistake_of_a_small_file_is_listed(birds):
    matrix = np.array(birds.facts["metrics"]["confusion"]["matrix"])
    for (label, predicted), images in images_by_cell(birds.table).items():
        if label != predicted:
            assert len(images) == matrix[label, predicted]
