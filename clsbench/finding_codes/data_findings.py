"""CB-D: what the data check finds before training."""

from __future__ import annotations

from clsbench.finding_codes.finding_code import FindingCode

FINDINGS = (
    FindingCode(
        code="CB-D001",
        name="unreadable",
        title="an image that cannot be read",
        meaning="The file is damaged, cut off, of a kind that nothing reads here, or no image at all. Training goes "
        "on without it.",
        why="A class may lose more images than another, and many of them point at an interrupted copy. What cannot be "
        "read here cannot be read by `infer` either.",
        remedy="Copy or save the files again, or remove them. The message names one with its reason; run.json and "
        "`--json` name them all.",
    ),
    FindingCode(
        code="CB-D002",
        name="contradictions",
        title="one image with two labels",
        meaning="Files with the same bytes have different labels.",
        why="At least one of the labels is wrong. The network is punished for either answer, and no model can be "
        "right on both.",
        remedy="Look at the image, keep the right label and remove the other file. If both labels are true, the "
        "classes overlap, and one class an image is the wrong task.",
    ),
    FindingCode(
        code="CB-D003",
        name="duplicates",
        title="one image in two splits",
        meaning="Files with the same bytes are in more than one of train, val and test.",
        why="The network is judged on images that it was trained on, so its accuracy is higher than it will be on new "
        "images, and the epoch that memorises best is kept.",
        remedy="Remove the copies from one side. Where clsbench makes the splits, `--group` with a pattern that finds "
        "the same text in both names keeps them together.",
    ),
    FindingCode(
        code="CB-D004",
        name="near-duplicates",
        title="an image that nearly equals one of another split",
        meaning="The perceptual hashes of two images are close: an image saved again, resized in proportion, brighter "
        "or cut a little, or the next frame of a film. Images below 48 pixels are not compared.",
        why="As with copies, validation sees what training saw, so the accuracy is higher than it will be on new "
        "images.",
        remedy="Keep what belongs together on one side with `--group`: a column of the CSV, or a pattern such as "
        "`'([^/]+)_frame'`. The message suggests one where the names allow it. Look at a few pairs first: a fixed "
        "camera makes different images alike.",
    ),
    FindingCode(
        code="CB-D005",
        name="torn-groups",
        title="a group in more than one split",
        meaning="The data gives both its splits and its groups (a patient, a film, a place), and a group has images "
        "on both sides.",
        why="The network can recognise the patient instead of the disease: the accuracy holds for known groups and "
        "says little about new ones.",
        remedy="Give each group to one split in the data, or leave the splits out of it, so that clsbench makes them "
        "by group.",
    ),
    FindingCode(
        code="CB-D006",
        name="similar-classes",
        title="class names that look the same",
        meaning="Names of classes differ only in case, spaces or Unicode normalisation, such as `Cat` and `cat`.",
        why="They are most likely one class in two folders, which the network is asked to tell apart. A file system "
        "that does not tell the names apart merges them on another machine.",
        remedy="Merge or rename the folders, or the labels of the CSV.",
    ),
    FindingCode(
        code="CB-D007",
        name="tiny-class",
        title="a class with fewer than 5 training images",
        meaning="A class has 1 to 4 readable images to learn from.",
        why="The network learns these images instead of the class, and its recall is not measured well either.",
        remedy="Collect more images, merge the class with another, or leave it out. `--class-weights balanced` or "
        "`--sampler balanced` let the few count for more.",
    ),
    FindingCode(
        code="CB-D008",
        name="empty-class",
        title="a class without an image in a split",
        meaning="A class of the data has no readable image in train, val or test.",
        why="A class without training images is never predicted. One without validation images has no part in "
        "choosing the epoch, nor in any number.",
        remedy="Move some images over, or let clsbench make the splits, class by class. Remove a class that is not "
        "wanted from all splits.",
    ),
)
