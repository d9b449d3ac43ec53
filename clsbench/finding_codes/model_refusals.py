"""CB-L, CB-M: labels, classes, model files and weights that are refused."""

from __future__ import annotations

from clsbench.finding_codes.finding_code import FindingCode

LABELS = (
    FindingCode(
        code="CB-L001",
        name="unknown-labels",
        title="labels that the model does not know",
        meaning="A class folder, a labels file or a predictions file names a class that is not among those of the "
        "model. Classes are matched by name, never by position.",
        why="By position, or with the strangers left out in silence, the accuracy would be that of another task.",
        remedy="Rename the folder or the label; the message names the nearest class. `--unknown-labels ignore` leaves "
        "such images without a label, and says how many.",
    ),
    FindingCode(
        code="CB-L002",
        name="unmatched-labels",
        title="a labels file that is about other images",
        meaning="None of the paths in the file given by `--labels` is the path of an image.",
        why="Nothing would be judged, or, with names matched loosely, the wrong images.",
        remedy="Write paths as the predictions have them, relative to the folder of images; the message shows some of "
        "both.",
    ),
    FindingCode(
        code="CB-L003",
        name="two-labels",
        title="one image, two labels",
        meaning="A labels file gives a path two different labels, or two predictions files give one image different "
        "ones.",
        why="One of them is wrong, and every metric depends on which one is taken.",
        remedy="Correct the file. To compare predictions, give the labels of all of them with `--labels FILE.csv`.",
    ),
    FindingCode(
        code="CB-L004",
        name="split-classes",
        title="a split with classes that training does not have",
        meaning="The validation or test images have class names that no training image has.",
        why="The network has no output for these classes: each of their images would be wrong, whatever it learns.",
        remedy="Rename the classes, or add training images of them. Of a downloaded data set the files are "
        "incomplete: remove them and download again.",
    ),
    FindingCode(
        code="CB-L005",
        name="different-classes",
        title="two things that are not about the same classes",
        meaning="Two models, two predictions files, or predictions and their manifest do not have the same class "
        "names. Their order does not matter.",
        why="A comparison by position would be of unrelated classes.",
        remedy="Compare models of the same classes; the message says which names are on one side only. Where only the "
        "spelling differs, rename them on one side.",
    ),
    FindingCode(
        code="CB-L006",
        name="class-count",
        title="another number of classes than there are names",
        meaning="The network, or the head in a weights file, has more or fewer outputs than there are names for them.",
        why="At least one name would be given to the wrong output, and usually all of them after the first gap.",
        remedy="Give `--classes FILE` with one name for each output, in order. For a head of another kind see `export "
        "--head`.",
    ),
)

MODELS = (
    FindingCode(
        code="CB-M001",
        name="no-card",
        title="a model file without a card",
        meaning="The .onnx file does not say its classes and its preprocessing: another program exported it.",
        why="With the wrong preprocessing a network still answers, and is wrong without a sign.",
        remedy="`clsbench adopt FILE` gives it a card, once its answers are shown to be those of the original. A "
        "network trained here is exported with `clsbench export`.",
    ),
    FindingCode(
        code="CB-M002",
        name="not-its-card",
        title="a graph that is not what its card says",
        meaning="Inputs or outputs of the graph do not have the names, types or shapes that the card describes.",
        why="The file was changed after the export, and its classes and preprocessing may not be those of the graph "
        "any more.",
        remedy="Use the file as it was exported, or export or adopt it again after the change.",
    ),
    FindingCode(
        code="CB-M003",
        name="guessed-preprocessing",
        title="preprocessing that nobody has stated",
        meaning="Neither flags nor files beside the model say all of its preprocessing, and clsbench would have to "
        "guess.",
        why="A wrong mean, channel order or crop costs accuracy without an error message.",
        remedy="State it by flags or `--transform`. `adopt --check DIR` lets the candidates compete on labelled "
        "images; `--yes` takes the guesses.",
    ),
    FindingCode(
        code="CB-M004",
        name="inexpressible-preprocessing",
        title="preprocessing that cannot be expressed",
        meaning="What is written beside the model describes steps that `ImageTransform` does not have.",
        why="Something similar would move the answers of the model, on some images more than on others.",
        remedy="If other preprocessing is right all the same, state all of it with `--transform FILE`.",
    ),
    FindingCode(
        code="CB-M005",
        name="contradicting-descriptions",
        title="two descriptions that contradict each other",
        meaning="Two files beside the model, or one and its metadata, state different preprocessing or class names.",
        why="One of them is wrong, and which one cannot be seen from the answers of the network.",
        remedy="Say which is right with the flag that the message names, or remove the file that is out of date.",
    ),
    FindingCode(
        code="CB-M006",
        name="no-classifier",
        title="a network that does not classify images",
        meaning="The graph takes something other than a batch of images, or none of its outputs is one score for each "
        "class: it is a detector, a tagger, a segmenter or an embedding.",
        why="The largest number of such an output is no prediction, although it looks like one.",
        remedy="Export the network with its classification head and with images as its only input, or name the right "
        "output with `--output`.",
    ),
    FindingCode(
        code="CB-M007",
        name="unsafe-weights",
        title="a weights file that cannot be read without running code",
        meaning="The file holds pickled objects besides tensors, or is damaged. Only tensors are read.",
        why="To unpickle a file is to run whatever its author put into it, with your rights.",
        remedy="Save the tensors alone, where you trust the file: `torch.save(model.state_dict(), FILE)`, or as "
        ".safetensors.",
    ),
    FindingCode(
        code="CB-M008",
        name="outside-file",
        title="a model that wants a file outside its folder",
        meaning="The .onnx file keeps weights in another file, and its path leads out of the folder of the model.",
        why="A stranger's model could read any file of yours, and a copied model would take the weights of another.",
        remedy="Put the weights beside the model, or save the model as one file.",
    ),
    FindingCode(
        code="CB-M009",
        name="unknown-schema",
        title="a file of a version that this clsbench does not know",
        meaning="A card, a run.json, the state of a run or what an int8 file carries has a schema number that this "
        "version cannot read.",
        why="Fields that are not understood would be left out in silence, preprocessing among them.",
        remedy="Upgrade clsbench. The state of a run is resumed by the version that began it.",
    ),
    FindingCode(
        code="CB-M010",
        name="other-weights",
        title="weights of another network",
        meaning="Too few tensors of the file have the names and shapes of the network, or some are left over where "
        "all have to fit.",
        why="Layers without weights stay random, and training from them looks like a weak start instead of a mistake.",
        remedy="Check `--model` and its options; the message names the tensors that do not fit. Of a run: install the "
        "version of the model plugin that it was trained with.",
    ),
    FindingCode(
        code="CB-M011",
        name="changed-preprocessing",
        title="a model whose preprocessing has changed since the run",
        meaning="The model component has another transform now than the run was trained with.",
        why="The exported file would see other pixels than the weights have learned from.",
        remedy="Install the version of the plugin that the run was trained with, or train again.",
    ),
)
