"""The steps of one stage: forward, loss, backward, optimizer, schedule, average."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from clsbench.models.classifier import Classifier
from clsbench.training.augmentation import Mix
from clsbench.training.averaging import Average
from clsbench.training.batches import Batches
from clsbench.training.config import TrainConfig
from clsbench.training.divergence import Diverged, first_bad
from clsbench.training.folding import Pair, find_pairs, folded
from clsbench.training.freezing import freeze, learning_groups, training_mode
from clsbench.training.optimisation import build_optimizer, build_schedule, optimizer_part, restore_optimizer
from clsbench.training.processes import Processes
from clsbench.training.progress import BatchLoss, Progress
from clsbench.training.recipes import Stage
from clsbench.training.run_state import Part
from clsbench.training.stopwatch import Stopwatch
from clsbench.training.validation import validate

#: Batches between two reports: reading a loss makes a GPU wait.
REPORT = 10


class Steps:
    """What learns in a stage, and how.

    Args:
        classifier: On the device of the batches; the stage's layer groups are unfrozen, all others frozen.
        stage: What learns, how fast and how long.
        config: How to train.
        batches: Of one epoch.
        features: Whether inputs are features, so that the head alone is run.
        class_weights: float32 (K,) of the loss, or None.
        mix: Mixup or CutMix, or None.
        processes: That train together; this one alone if left out.
        warn: Called where the network cannot be compiled.
    """

    def __init__(
        self,
        classifier: Classifier,
        stage: Stage,
        config: TrainConfig,
        batches: int,
        *,
        features: bool,
        class_weights: Tensor | None,
        mix: Mix | None,
        processes: Processes | None = None,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        freeze(classifier, stage.first)
        self.network: nn.Module = classifier.head if features else classifier
        self.optimizer = build_optimizer(learning_groups(classifier, stage.lr, stage.lr_mult), config)
        self.schedule = build_schedule(self.optimizer, config, stage.epochs * math.ceil(batches / config.accumulate))
        #: (epochs done, learning rate of the head) at each step of the optimizer.
        self.rates: list[tuple[float, float]] = []
        self._classifier, self._config, self._features = classifier, config, features
        self._weights, self._mix = class_weights, mix
        self._average = Average(self.network, config.ema) if config.ema else None
        self.processes = processes or Processes()
        # A head on its own takes a moment, and is as exact as the features are.
        self._forward = self.processes.prepare(
            self.network, exact=features, compiled=warn if config.compile and not features else None
        )
        #: Of the epoch under way, or of the last one.
        self.watch = Stopwatch(self.processes.device)
        self.stepper = self.processes.prepare_optimizer(self.optimizer)

    @property
    def judged(self) -> nn.Module:
        """What is validated and kept: the network, or its average."""
        return self._average.module if self._average else self.network

    def state(self) -> dict[str, Tensor]:
        """The whole classifier's weights as they are judged."""
        prefix = "head." if self._features else ""
        own = {prefix + name: tensor for name, tensor in self.judged.state_dict().items()}
        return {**self._classifier.state_dict(), **own}

    def judge(self, state: Mapping[str, Tensor], batches: Batches) -> tuple[float, float]:
        """How other weights do, those of an earlier :meth:`state`; see :func:`validate`."""
        prefix = "head." if self._features else ""
        network = copy.deepcopy(self.judged)
        network.load_state_dict({name: state[prefix + name] for name in network.state_dict()})
        return validate(network, batches)

    def parts(self) -> dict[str, Part]:
        """What the next step depends on, for the state of the run."""
        return {
            "model": dict(self._classifier.state_dict()),
            "optimizer": optimizer_part(self.optimizer, self.schedule),
            "average": self._average.part() if self._average else {},
            "processes": dict(self.processes.state()),
        }

    def restore(self, parts: Mapping[str, Part]) -> None:
        """Go on from what :meth:`parts` gave; the classifier has its weights already."""
        restore_optimizer(self.optimizer, self.schedule, parts["optimizer"])
        if self._average:
            self._average.restore(parts["average"])
        self.processes.restore(parts["processes"])

    def example(self, device: torch.device) -> Tensor:
        """Two empty inputs, as the network takes them."""
        if self._features:
            return torch.zeros(2, self._classifier.feature_dim, device=device)
        return torch.zeros(2, *self._classifier.transform.size, 3, dtype=torch.uint8, device=device)

    @cached_property
    def _pairs(self) -> list[Pair]:
        """Layers that are computed as one: on CPUs, whose steps they make shorter."""
        if self._features or self._config.compile or self.processes.device.type != "cpu":
            return []
        shape, drawn = self.example(self.processes.device).shape, torch.Generator().manual_seed(0)
        noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=drawn)
        return find_pairs(self._classifier, noise)

    def training_mode(self) -> None:
        """Put what learns into training mode, and all else into evaluation mode."""
        training_mode(self._classifier, keep_statistics=self._config.recipe == "fine-tune")

    def loss(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, float | Tensor]:
        """The mean loss of a batch in nats, its logits (n, K), and how many images that mean is of.

        Of several processes each gets what it adds to the mean of the whole batch, times their count, and an
        equal part of the number of images; its logits are of its own images.
        """
        inputs, targets = self._mix(inputs, labels) if self._mix and len(labels) else (inputs, labels)
        with folded(self._pairs):
            logits = self._forward(inputs if len(labels) else self.example(labels.device))[: len(labels)]
        smoothing = self._config.label_smoothing
        entropy = partial(nn.functional.cross_entropy, weight=self._weights, label_smoothing=smoothing)
        if not self.processes.several:
            return entropy(logits, targets), logits, len(labels)
        images = logits.new_tensor(float(len(labels)), dtype=torch.float32)
        size = self._weights[labels].sum() if self._weights is not None and targets is labels else images
        size, images = self.processes.sum(torch.stack([size, images]))
        count = self.processes.count
        return entropy(logits, targets, reduction="sum") * count / size.clamp(min=1e-12), logits, images / count

    def train(
        self,
        batches: Batches,
        number: int,
        advance: Callable[[int], None],
        heard: Callable[[int, float], None],
        out_of_time: Callable[[], bool],
        logged: Callable[[BatchLoss], None] | None = None,
        *,
        progress: Progress | None = None,
        begun: Callable[[], None] = lambda: None,
        done: Callable[[], None] = lambda: None,
    ) -> tuple[float, float]:
        """One pass over the training batches.

        Args:
            batches: Shuffled.
            number: Of the epoch, from 1.
            advance: Called after each batch.
            heard: Called now and then with the epoch and its mean loss so far.
            out_of_time: Whether to stop after this batch.
            logged: Called every ``log_every`` batches.
            progress: How far the epoch is, and how far it has come; None for its beginning.
            begun, done: Called before and after each step, between two of which the state can be saved.

        Returns:
            Mean loss in nats, and top-1 accuracy as a fraction, of images as they were trained on.

        Raises:
            Diverged: if the loss of a batch is NaN or infinite, at most :data:`REPORT` batches later.
        """
        self.training_mode()
        far = progress or Progress.begun(batches.device)
        total, waiting, together = len(batches), 0, self._config.accumulate
        recent: list[Tensor] = []  # losses that have not been read yet
        self.watch = Stopwatch(batches.device, self.processes.count)
        for position, inputs, labels in self.watch.timed(batches.numbered(number, far.batch)):
            if not waiting:
                begun()
            group = min(together, total - (position - 1) // together * together)
            last = waiting + 1 == group
            with nullcontext() if last else self.processes.apart(self._forward):
                loss, logits, images = self.loss(inputs, labels)
                self.processes.backward(loss / group)
            with torch.no_grad():
                recent.append(loss.detach())
                far.loss += loss * images
                far.correct += (logits.argmax(1) == labels).sum()
            far.batch, far.images, waiting = position, far.images + images, waiting + 1
            over = out_of_time()
            if waiting == group or (over and not self.processes.several):  # theirs have not been averaged
                self._step(number - 1 + position / total if waiting == group else number)
                waiting = 0
                done()
            advance(1)
            if position % REPORT == 0 or position == total or over:
                heard(number, self._checked(far, recent, number, total))
            if logged and self._config.log_every and position % self._config.log_every == 0:
                logged(self._line(number, total, far))
            if over:
                break
        if waiting and not self.processes.several:  # no image of the last batch could be read
            self._step(number)
        done()
        self.optimizer.zero_grad(set_to_none=True)
        for network in {self.network, self.judged}:
            self.processes.average_buffers(network)
        return self._checked(far, recent, number, total), self._mean(far.correct, far.images)

    def _line(self, number: int, total: int, far: Progress) -> BatchLoss:
        now = self._totals(far.loss, far.images)
        images = now[1] - far.said[1]
        mean = (now[0] - far.said[0]) / images if images else math.nan  # none could be read: of several processes only
        far.said = now
        return BatchLoss(number, far.batch, total, mean, float(self.optimizer.param_groups[-1]["lr"]))

    def _totals(self, value: Tensor, count: float | Tensor) -> tuple[float, float]:
        """A sum over this process's images and their number, of all processes."""
        if not self.processes.several:
            return float(value), float(count)
        total, images = self.processes.sum(torch.stack([value, torch.as_tensor(count, device=value.device)])).tolist()
        return total, images

    def _mean(self, value: Tensor, count: float | Tensor) -> float:
        total, images = self._totals(value, count)
        return total / max(images, 1)  # several processes step without any image, and refuse that after the epoch

    def clip(self) -> None:
        """Limit the norm of the gradient, where the configuration says so."""
        if self._config.clip_grad:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            self.processes.clip(parameters, self._config.clip_grad)

    def _checked(self, far: Progress, recent: list[Tensor], number: int, total: int) -> float:
        """The mean loss so far; ``recent`` holds the losses of the last batches, and is emptied.

        Raises:
            Diverged: if it is not finite, naming the first batch whose loss is not.
        """
        mean = self._mean(far.loss, far.images)
        if not math.isfinite(mean):
            before, found = (first_bad(recent) if recent else None) or (len(recent) - 1, "not finite in sum")
            at = f"epoch {number}, batch {max(1, far.batch - len(recent) + before + 1)} of {total}"
            raise Diverged(f"the loss is {found}", at, self._config)
        recent.clear()
        return mean

    def _step(self, position: float) -> None:
        self.clip()
        self.rates.append((position, float(self.optimizer.param_groups[-1]["lr"])))
        self.stepper.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        if self._average:
            self._average.update(self.network)
