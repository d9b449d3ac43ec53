"""CB-D: what the data check finds before training."""

from __future__ import annotations

from clsbench.finding_codes.finding_code import FindingCode

FINDINGS = (
    FindingCode(
        code="CB-D001",
        name="unreadable",
        title="an image that cannot be read",
        meaning="The file is damaged, cut off, of a kind that nothing reads here, or no image at all. Training goes on "
        "without it.",
        why="A class may lose more images than another, and a whole folder of them points at an interrupted copy. What "
        "fails here fails in production too.",
        remedy="Copy or save the files again, or remove them. The message names one with its reason, `--json` and "
        "run.json name them all.",
    ),
    FindingCode(
        code="CB-D002",
        name="contradictions",
        title="one image with two labels",
        meaning="Files with the same bytes have different labels.",
        why="At least one of the labels is wrong. The network is punished for each answer, and where one of them is in "
        "the validation or test split, no model can be right on both.",
        remedy="Look at the images, keep the right label and remove the other file. If both labels are true, the "
        "classes overlap, and one label an image is the wrong task.",
    ),
    FindingCode(
        code="CB-D003",
        name="duplicates",
        title="one image in two splits",
        meaning="Files with the same bytes are in more than one of train, val and test.",
        why="The network is judged on images that it has learned by heart, so the accuracy is higher than it will be on "
        "new ones, and the epoch that memorises best is kept.",
        remedy="Remove the copies from one side. Where the splits are made here, `--group` with a pattern that names "
        "both files keeps them together.",
    ),
    FindingCode(
        code="CB-D004",
        name="near-duplicates",
        title="an image that nearly equals one of another split",
        meaning="Perceptual hashes of two images are close: saved again, resized, brighter, cut a little, or the next "
        "frame of a film. Images below 48 pixels are not compared.",
        why="As for copies: validation sees what training saw, so the accuracy is higher than it will be on new images.",
        remedy="Keep what belongs together on one side with `--group`: the column of a CSV, or a pattern such as "
        "`'([^/]+)_frame'`. The message suggests one where names share a beginning. Look at a few pairs first: a "
        "fixed camera makes different images alike.",
    ),
    FindingCode(
        code="CB-D005",
        name="torn-groups",
        title="a group in more than one split",
        meaning="The data gives its splits and its groups (patient, film, place), and a group has images on both sides.",
        why="The network can recognise the patient rather than the disease; the accuracy is that on known groups and says "
        "little of new ones.",
        remedy="Give each group to one split in the data, or leave the splits out, so that `--group` makes them.",
    ),
    FindingCode(
        code="CB-D006",
        name="similar-classes",
        title="class names that look the same",
        meaning="Names of classes differ only in case, spaces or Unicode normalisation, such as `Cat` and `cat `.",
        why="They are most likely one class in two folders. The network is told to tell them apart, and a file system "
        "that does not distinguish them may merge them on another machine.",
        remedy="Rename or merge the folders, or the labels of the CSV.",
    ),
    FindingCode(
        code="CB-D007",
        name="tiny-class",
        title="a class with fewer than 5 training images",
        meaning="After unreadable images and the other splits are taken away, a class has 1 to 4 images to learn from.",
        why="A network learns those images rather than the class, and the class's recall cannot be measured with an "
        "interval that says anything.",
        remedy="Collect more images, merge the class with another, or leave it out. `--class-weights balanced` or "
        "`--sampler balanced` let the few count for more.",
    ),
    FindingCode(
        code="CB-D008",
        name="empty-class",
        title="a class without an image in a split",
        meaning="A class that other splits have is missing from train, val or test.",
        why="Without training images a class is never predicted; without validation images its errors choose no epoch "
        "and are in no number.",
        remedy="Move some images over, or let the splits be made here, which keeps every class in each. A class that is "
        "not wanted is removed from all splits.",
    ),
)
