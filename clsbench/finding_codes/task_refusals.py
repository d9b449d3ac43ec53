"""CB-G, CB-H, CB-T, CB-J: gates, devices, trainings and jobs that refuse."""

from __future__ import annotations

from clsbench.finding_codes.finding_code import FindingCode

GATES = (
    FindingCode(
        code="CB-G001",
        name="parity",
        title="a file that disagrees with its network",
        meaning="From encoded image to probabilities, the file as `infer` runs it gives another top-1, or a "
        "probability differs by more than the tolerance. Exit code 3; nothing is written.",
        why="The file would not say in production what was measured in training.",
        remedy="The stage to blame is printed: decode, resize, normalise, graph, precision, temperature or batch. "
        "`verify` repeats the comparison on other images. Only where the difference does not matter to you: `verify "
        "--tolerance`.",
    ),
    FindingCode(
        code="CB-G002",
        name="lost-accuracy",
        title="an int8 file that loses too much accuracy",
        meaning="Against its float32 file the int8 file loses more points than `--max-drop` allows, although its most "
        "sensitive layers stay in float. Exit code 3.",
        why="What is gained in speed is paid with wrong answers.",
        remedy="Calibrate with more training images of all classes (`--calibrate-images`, `--calibrate-n`), keep "
        "float32, or allow more with `--max-drop`. `--force` writes the file all the same.",
    ),
    FindingCode(
        code="CB-G003",
        name="not-faster",
        title="an int8 file that is not faster",
        meaning="Alone or end to end, the int8 file does not reach `--min-speedup` times the speed of its float32 "
        "file on this machine. Exit code 3.",
        why="It would cost accuracy and bring nothing.",
        remedy="Export on the machine that is to infer, try `--for` another engine, or keep float32. `--min-speedup "
        "0` or `--force` writes a file that is meant to be small rather than fast.",
    ),
    FindingCode(
        code="CB-G004",
        name="unproved-engine",
        title="an int8 file on an engine that it was not proved on",
        meaning="The file was made for another engine or device, and carries no images to find out with (`--carry-n "
        "0`).",
        why="Engines read int8 graphs in their own ways: another one may give other labels without an error.",
        remedy="Use the engine that it was made for, or export it again with `--for`, or without `--carry-n 0`.",
    ),
    FindingCode(
        code="CB-G005",
        name="other-answers",
        title="an int8 file that answers otherwise here",
        meaning="On the images that the file carries, this engine, device or processor gives other labels than where "
        "the file was made.",
        why="The accuracy that was measured does not hold here.",
        remedy="Use the engine that the message names, or the float32 file, or make an int8 file for this engine with "
        "`export --precision int8 --for`.",
    ),
    FindingCode(
        code="CB-G006",
        name="same-images",
        title="images that would calibrate a file and judge it",
        meaning="The images for the ranges of int8 are the images that judge the file, found by content.",
        why="The loss of accuracy would look smaller than it is.",
        remedy="Calibrate with training images, and judge with others: `--calibrate-images` and `--gate-images`.",
    ),
    FindingCode(
        code="CB-G007",
        name="failure-rate",
        title="more images failed than are allowed",
        meaning="More images than `--max-failure-rate` could not be classified, or all of them. Every image has its "
        "row, failed ones with a reason. Exit code 3.",
        why="Metrics of the others say little about a job of which a part is missing.",
        remedy="Look at the reasons, which are printed and in the file; mend the images or their source, then run the "
        "job again.",
    ),
)

DEVICES = (
    FindingCode(
        code="CB-H001",
        name="unusable-device",
        title="a device that cannot be used",
        meaning="The device that was asked for is not there, or its driver, a library or this build of a package does "
        "not serve it.",
        why="Other tools go on with the CPU and leave a line in a log; the job takes ten times as long.",
        remedy="Do what the message says; `clsbench doctor` tries each device. `--device auto` takes what there is "
        "and says why; `--device cpu` needs nothing.",
    ),
    FindingCode(
        code="CB-H002",
        name="stray-nodes",
        title="a network that would run partly on the CPU",
        meaning="The device runs the network, but not all of its convolutions, matrix products and similar operators.",
        why="Each change between device and CPU copies and waits: often slower than the CPU alone, under the name of "
        "the device.",
        remedy="Export the network again with a newer version, choose another provider, or accept it with "
        "`--allow-fallback`.",
    ),
    FindingCode(
        code="CB-H003",
        name="unused-device",
        title="a device that was asked for and not used",
        meaning="The engine opened the model without the device, although the device had been found usable.",
        why="The CPU would do the work under the name of the device.",
        remedy="`clsbench doctor` looks for the reason; usually a library of another version is loaded first.",
    ),
    FindingCode(
        code="CB-H004",
        name="device-memory",
        title="a device without enough memory",
        meaning="Memory was used up by a batch, a model, or another program on the same device.",
        why="The alternative is an abort in the middle of the job, or a system that swaps.",
        remedy="Use the `--batch-size` that the message names, or `auto`; end other programs that use the device.",
    ),
)

TRAINING = (
    FindingCode(
        code="CB-T001",
        name="diverged",
        title="training that diverged",
        meaning="A loss or a weight is NaN or infinite, or the best epoch is worthless. An earlier epoch that was "
        "good is kept.",
        why="From there on nothing is learned, however long it runs.",
        remedy="Take the rate or the weight decay that the message names; `--lr auto` searches one, `--clip-grad 1` "
        "limits a step.",
    ),
    FindingCode(
        code="CB-T002",
        name="changed-data",
        title="data that changed since the run began",
        meaning="Images or classes of the run that is to be resumed are not the ones that it began with.",
        why="Half of the training would be on other images, and the run's record would describe neither half.",
        remedy="Bring the images back; or train anew, with `--config RUN` for the same options and `--weights RUN` to "
        "start from its weights.",
    ),
    FindingCode(
        code="CB-T003",
        name="strict-data",
        title="data with findings, where none are accepted",
        meaning="`--strict-data` was given, and the data check found something; every finding is listed with its own "
        "code (CB-D).",
        why="Somebody has asked not to train on such data.",
        remedy="Correct the data, or accept single findings with `--ignore CODE`, which run.json records.",
    ),
)

JOBS = (
    FindingCode(
        code="CB-J001",
        name="changed-job",
        title="a job that cannot be continued because something has changed",
        meaning="The model, an option that changes predictions, or the size or time of an image is not what it was "
        "when the first rows were written.",
        why="One file would hold rows of two jobs, and nobody could tell them apart.",
        remedy="Undo the change that the message names, or begin anew: `--restart` for an unfinished job, "
        "`--overwrite` for a finished file.",
    ),
    FindingCode(
        code="CB-J002",
        name="output-there",
        title="an output that is there already",
        meaning="A file of this name, or an unfinished job that was writing it, is there.",
        why="Results that took hours would be lost.",
        remedy="Choose another path; `--overwrite` replaces a file, `--resume` continues a job and `--restart` begins "
        "it anew.",
    ),
    FindingCode(
        code="CB-J003",
        name="output-is-input",
        title="an output that would destroy an input",
        meaning="The path of an output is a file that the command reads, an image, or a place where the next run "
        "would take it for one.",
        why="The input would be gone.",
        remedy="Choose another path for the output. No option allows it.",
    ),
    FindingCode(
        code="CB-J004",
        name="incomplete-shards",
        title="shards that do not make one whole job",
        meaning="A shard is missing or there twice, or the files come from different jobs, models or options.",
        why="The merged file would lack images or hold some twice, and its metrics would be of no real data set.",
        remedy="Bring the shard that the message names, or run it again with the same options.",
    ),
)
