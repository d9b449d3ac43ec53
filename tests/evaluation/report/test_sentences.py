from dataclasses import replace

import pytest

from clsbench.evaluation.judging import ImageCounts
from clsbench.evaluation.metrics.calibration import Reliability, ReliabilityBin
from clsbench.evaluation.metrics.confusion import ConfusedPair, ConfusedPairs
from clsbench.evaluation.metrics.coverage import CoverageRow, CoverageTargets, TargetRow
from clsbench.evaluation.metrics.per_class import ClassScores, PerClass
from clsbench.evaluation.report.sentences import sentences
from clsbench.predictions.metric import Metrics
from clsbench.predictions.values import Proportion


@pytest.fixture
def said(birds, changed):
    """said({key: value}, …): the sentences with other values of metrics, as one text."""
    return lambda values, **fields: " ".join(sentences(changed(birds.evaluation, values, **fields)))


def test_they_begin_with_the_accuracy_and_warn_of_few_images(said):
    many = said({"top1": Proportion(0.94, 0.9235, 0.9531, 940, 1000)})
    assert many.startswith(
        "940 of 1,000 images are classified correctly. On images of this kind the accuracy lies between 92.35% and "
        "95.31% (95% interval)."
    )
    assert "few" not in many
    assert "four times as many would halve it" in said({"top1": Proportion(0.9, 0.5958, 0.9821, 9, 10)})
    assert said({"top1": Proportion.of(1, 1)}).startswith("1 of 1 image is classified correctly.")


def test_a_model_no_better_than_the_most_frequent_class_is_told_so(judge):
    def words(right):
        rows = [(f"{k}.jpg", "ab"[k % 3 == 0], {"ab"[(k % 3 == 0) ^ (k >= right)]: 1}) for k in range(60)]
        return " ".join(sentences(judge(["a", "b"], rows).evaluation))

    assert "not shown to be better than always answering “a”, which is right for 66.67% of them." in words(44)
    assert "always answering" not in words(55)


def test_they_count_what_is_left_out(said):
    some = said({}, counts=ImageCounts(total=1200, ok=1199, errors=1, labelled=1000, judged=999))
    assert "1 image could not be classified and is not counted" in some
    assert "200 of 1,200 images have no label." in some
    none = said({}, counts=ImageCounts(total=9, ok=9, errors=0, labelled=9, judged=9))
    assert "not counted" not in none
    assert "no label" not in none.replace("no labelled", "")


def test_they_name_the_weakest_class_and_the_largest_confusion(said):
    row = ClassScores("a\u202eb", precision=1.0, recall=0.25, f1=0.4, support=80, recall_low=0.17, recall_high=0.35)
    classes = PerClass((row, replace(row, name="c", f1=0.9), replace(row, name="d", f1=0.0, support=0)))
    pairs = ConfusedPairs(min_count=2, found=1, pairs=(ConfusedPair("c", "d", 2, 0.25),))
    words = said({"per_class": classes, "confused_pairs": pairs})
    assert (
        "The weakest class is “a\\u202eb”: 25.00% of its 80 images are found (95% interval 17.00% – 35.00%), with "
        "F1 0.400." in words
    )
    assert "1 of 3 classes has no labelled image." in words
    assert "“c” taken for “d”, 2 times (25.00% of its images)." in words


def test_a_class_of_few_images_is_not_called_the_weakest(judge):
    classes = [f"class {k}" for k in range(200)]
    rows = [(f"{k}.jpg", classes[k], {classes[(k + (k % 3 == 0)) % 200]: 1}) for k in range(200)]
    words = " ".join(sentences(judge(classes, rows).evaluation))
    assert "weakest" not in words
    assert "No class is shown to be weaker than the others, with a median of 1 image a class." in words


def test_a_single_miss_of_a_good_model_is_no_weakness(judge):
    classes = [f"class {k}" for k in range(300)]
    rows = [(f"{k}.jpg", classes[k], {classes[k if k != 7 else 8]: 1}) for k in range(300)]
    assert "weakest" not in " ".join(sentences(judge(classes, rows).evaluation))


def test_a_class_far_below_the_others_is_named_among_many(judge):
    classes = [f"class {k}" for k in range(20)]
    rows = [(f"{k}/{i}.jpg", name, {classes[k if k != 3 or i < 6 else 4]: 1})
            for k, name in enumerate(classes) for i in range(20)]  # fmt: skip
    words = " ".join(sentences(judge(classes, rows).evaluation))
    assert "The weakest class is “class 3”: 30.00% of its 20 images are found (95% interval 14.55% – 51.90%)" in words


def test_of_mistakes_that_are_as_frequent_none_stands_out(said):
    pairs = tuple(ConfusedPair("c", name, 2, 0.5) for name in "abd")
    words = said({"confused_pairs": ConfusedPairs(min_count=2, found=3, pairs=pairs)})
    assert "No mistake stands out: 3 pairs of classes are confused 2 times each, such as “c” taken for “a”." in words
    more = said({"confused_pairs": ConfusedPairs(min_count=2, found=9, pairs=pairs)})
    assert "3 pairs or more of classes" in more


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (0.95, "It is overconfident: on average its confidence is 15.0 percentage points above its accuracy."),
        (0.65, "It is underconfident: on average its confidence is 15.0 percentage points below its accuracy."),
        (0.81, "its confidence is within 1.0 percentage points of its accuracy"),
    ],
)
def test_they_tell_whether_the_confidence_can_be_trusted(said, confidence, words):
    half = ReliabilityBin(0.5, 1.0, count=10, confidence=confidence, accuracy=0.8, low=0.5, high=0.9)
    assert words in said({"reliability": Reliability((half, replace(half, count=30)))})


def test_few_images_do_not_make_it_overconfident(said):
    few = ReliabilityBin(0.5, 1.0, count=10, confidence=0.93, accuracy=0.8, low=0.5, high=0.9)
    words = said({"reliability": Reliability((few,))})
    assert "13.0 percentage points above its accuracy, which chance explains with so few images." in words
    assert "overconfident" not in words


def test_they_tell_what_can_be_automated(said):
    reached = TargetRow(0.95, CoverageRow(threshold=0.9, kept=8, coverage=0.8, accuracy=1.0, low=0.7, high=1.0))
    none = TargetRow(0.99, CoverageRow(threshold=None, kept=0, coverage=0.0, accuracy=None, low=0.0, high=1.0))
    words = said({"coverage_for_accuracy": CoverageTargets((reached, none))})
    assert (
        "80.00% of the images can be decided at 95% accuracy: those with a confidence of 0.900 or more "
        "(8 images, 95% interval of their accuracy 70.00% – 100.00%, too few to rely on)." in words
    )
    only = said({"coverage_for_accuracy": CoverageTargets((none,))})
    assert "At no confidence threshold is it right for 99% of the images." in only


def test_they_hold_without_any_metric(birds):
    bare = replace(birds.evaluation, metrics=Metrics())
    assert sentences(bare)[0] == "The accuracy is not known: no metric gave top1."


def test_they_hold_in_degenerate_cases(outcomes, bare, evaluation_of):
    for given in (outcomes, bare):
        words = " ".join(sentences(evaluation_of(given)))
        assert "nan" not in words
        assert "None" not in words
