import time

import pytest
import torch

from clsbench.training.stopwatch import Stopwatch, pace

CPU = torch.device("cpu")


def batches(count, seconds):
    for position in range(1, count + 1):
        time.sleep(seconds)
        yield position, torch.zeros(4, 2), None


@pytest.mark.parametrize(("data", "compute", "low", "high"), [(0.02, 0.0, 0.8, 1.0), (0.0, 0.02, 0.0, 0.2)])
def test_waiting_is_told_from_working(data, compute, low, high):
    watch = Stopwatch(CPU, processes=3)
    for _ in watch.timed(batches(5, data)):
        time.sleep(compute)
    assert (watch.batches, watch.images) == (5, 5 * 4 * 3)
    assert low <= watch.waited <= high
    assert watch.seconds >= 0.1
    assert watch.images_per_second == pytest.approx(60 / watch.seconds)


def test_a_gpu_that_still_works_has_not_waited(monkeypatch):
    """The host waits for each batch; the device is busy with the step before it, but for the last."""
    busy = iter([False, False, True])

    class Event:
        def record(self):
            pass

        def query(self):
            return next(busy)

    monkeypatch.setattr("torch.cuda.Event", Event)
    watch = Stopwatch(torch.device("cuda"))
    for _ in watch.timed(batches(3, 0.03)):
        pass
    assert watch.waiting == pytest.approx(0.03, abs=0.02)  # the first
    assert watch.seconds > 0.09


def test_the_time_left_counts_batches_and_validations():
    watch = Stopwatch(CPU)
    watch._began, watch._now, watch.batches, watch.images = 0.0, 10.0, 5, 40
    found = pace(watch, 2, 5, 20, val=(6, 3.0), epochs=2, more=False)
    assert (found.images_per_second, found.epoch_left, found.run_left) == (4.0, 15 * 2 + 3, 33 + 2 * (20 * 2 + 3))
    first = pace(watch, 1, 5, 20, val=(6, None), epochs=0, more=True)
    assert first.epoch_left == pytest.approx(15 * 2 + 6 * 2 / 3)
    assert first.more


def test_epochs_hold_their_pace_and_the_observer_hears_it(tiny, pictures, configured, train, observer, monkeypatch):
    monkeypatch.setattr("clsbench.training.loop.EVERY", 0.0)
    trainer = train(tiny(), pictures(), configured(recipe="scratch", epochs=2))
    assert all(epoch.images_per_second > 0 and 0 <= epoch.waited <= 1 for epoch in trainer.history)
    assert [(p.epoch, p.batch, p.total) for p in observer.paces] == [(e, b, 4) for e in (1, 2) for b in (2, 3, 4)]
    assert observer.paces[0].run_left > observer.paces[0].epoch_left
    assert observer.paces[-1].run_left == observer.paces[-1].epoch_left
