import pytest

from clsbench.inference.timing import STAGES, StageClock, Timing

MS = {"read": 0.1, "decode": 2.0, "resize": 0.8, "copy": 0.1, "inference": 6.0, "post": 0.5, "write": 0.5}


def timing(*, images=100, seconds=0.5, ms=MS, **others):
    clock = StageClock()
    for stage, value in ms.items():
        clock.busy[stage] = clock.wall[stage] = images * value / 1000
    given = {"first_batch": 0.1, "first_batch_images": 20, "workers": 2, "cores": 2} | others
    return Timing(seconds, images, clock, **given)


def test_on_shared_cores_the_limit_is_the_cores_over_the_summed_core_seconds():
    limit = timing().limit()
    assert limit.images_per_second == pytest.approx(2 / 0.010)
    assert limit.bound == "model"


def test_beside_a_device_the_slower_side_sets_the_limit():
    assert timing(shares_cores=False, device_seconds=0.4).limit().images_per_second == pytest.approx(250)
    bound_by_host = timing(shares_cores=False, device_seconds=0.1).limit()
    assert bound_by_host.images_per_second == pytest.approx(2 / 0.004)
    assert bound_by_host.bound == "decode"


def test_threads_of_the_engine_count_by_what_the_process_used():
    split = timing(ms={**MS, "inference": 3.0}, model_threads=2, process_seconds=1.0)
    assert split.core_seconds()["inference"] == pytest.approx(0.006)


def test_steady_state_leaves_the_first_batch_out():
    assert timing().images_per_second == pytest.approx(200)
    assert timing().steady_images_per_second == pytest.approx(80 / 0.4)


@pytest.mark.parametrize(("stage", "bound"), [("decode", "decode"), ("inference", "model"), ("write", "write")])
def test_the_verdict_names_what_limits_the_run_and_what_helps(stage, bound):
    facts = timing(ms={**MS, stage: 50.0}).to_json()
    assert facts["bound"] == bound
    assert facts["verdict"].startswith(f"{bound}-bound: ")
    assert "; try " in facts["verdict"]


def test_the_verdict_says_so_where_threads_had_no_core():
    slow = timing(seconds=2.0)
    for stage in MS:
        slow.clock.wall[stage] *= 4
    assert "the machine has other work" in slow.to_json()["verdict"]


def test_an_empty_run_has_no_rates():
    facts = Timing(0.0, 0, StageClock(), 0.0, 0, workers=1).to_json()
    assert (facts["images_per_second"], facts["limit"], facts["fraction_of_limit"]) == (0.0, 0.0, 0.0)


def test_every_stage_stands_in_the_json():
    assert {f"{stage}_ms_per_image" for stage in STAGES} <= timing().to_json().keys()
