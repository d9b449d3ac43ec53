import numpy as np
import pytest
from PIL import Image

from clsbench.images.entries import FileEntry
from clsbench.images.loader import ImageLoader
from clsbench.inference.timing import STAGES, StageClock, Timing
from clsbench.transform import ImageTransform

MS = {"read": 0.1, "decode": 2.0, "resize": 0.8, "copy": 0.1, "inference": 6.0, "post": 0.5, "write": 0.5}


def timing(*, images=1000, seconds=5.0, ms=MS, **others):
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
    assert timing(shares_cores=False, device_seconds=4.0).limit().images_per_second == pytest.approx(980 / 4)
    bound_by_host = timing(shares_cores=False, device_seconds=1.0).limit()
    assert bound_by_host.images_per_second == pytest.approx(2 / 0.004)
    assert bound_by_host.bound == "decode"


def test_beside_a_decoder_on_a_device_there_is_no_limit_to_tell():
    facts = timing(decoded_apart=True).to_json()
    assert facts["fraction_of_limit"] is None
    assert (
        facts["verdict"] == "what limits the run is not known: the decoder may use a device, whose time is not measured"
    )


def test_threads_of_the_engine_count_by_what_the_process_used():
    for elsewhere in ({"model_threads": 2}, {"own_threads": True}):
        split = timing(ms={**MS, "inference": 3.0}, process_seconds=10.0, **elsewhere)
        assert split.core_seconds()["inference"] == pytest.approx(0.006)


def test_steady_state_leaves_the_first_batch_out():
    assert timing().images_per_second == pytest.approx(200)
    assert timing().steady_images_per_second == pytest.approx(980 / 4.9)


@pytest.mark.parametrize(("stage", "bound"), [("decode", "decode"), ("inference", "model"), ("write", "write")])
def test_the_verdict_names_what_limits_the_run_and_what_helps(stage, bound):
    facts = timing(ms={**MS, stage: 50.0}).to_json()
    assert facts["bound"] == bound
    assert facts["verdict"].startswith(f"{bound}-bound: ")
    assert "; try " in facts["verdict"]


def test_the_verdict_says_so_where_threads_had_no_core():
    slow = timing(seconds=20.0)
    for stage in MS:
        slow.clock.wall[stage] *= 4
    assert "the machine has other work" in slow.to_json()["verdict"]


@pytest.mark.parametrize(("decode", "small"), [(0.1, True), (4.0, False)])
def test_python_itself_is_suspected_with_small_images_only(decode, small):
    ms = dict.fromkeys(MS, 0.1) | {"inference": 3.0, "decode": decode}
    slow = timing(ms=ms, seconds=20.0)
    for stage in ms:
        slow.clock.wall[stage] *= 4
    assert "waited for a core" in slow.verdict
    assert ("Python itself" in slow.verdict) == small


def test_an_empty_run_has_no_rates():
    facts = Timing(0.0, 0, StageClock(), 0.0, 0, workers=1).to_json()
    assert (facts["images_per_second"], facts["limit"], facts["fraction_of_limit"]) == (0.0, 0.0, None)


def test_the_stages_of_many_images_are_told_by_some_of_them():
    clock, timed = StageClock(), StageClock()
    timed.wall.update(read=1.0, decode=3.0)
    timed.busy.update(read=0.0, decode=2.0)
    started, had_core = clock.mark()
    clock.share((started - 8.0, had_core - 4.0), timed)
    assert dict(clock.wall) == {"read": pytest.approx(2.0, abs=0.1), "decode": pytest.approx(6.0, abs=0.1)}
    assert dict(clock.busy) == {"read": 0.0, "decode": pytest.approx(4.0, abs=0.1)}


def test_never_more_than_the_limit_is_reached():
    fast = timing(seconds=4.0)  # 245 images/s of a measured limit of 200
    assert fast.fraction_of_limit == 1.0
    assert fast.limit_text == "200.0 images/s, of which 100% was reached"


@pytest.mark.parametrize(
    "given", [{"images": 1, "seconds": 0.04, "first_batch": 0.04, "first_batch_images": 1}, {"seconds": 1.0}]
)
def test_a_short_run_says_nothing_of_limits_or_causes(given):
    short = timing(**given)
    for stage in MS:
        short.clock.wall[stage] *= 4
    assert short.to_json()["fraction_of_limit"] is None
    assert short.limit_text == "not known: the run is too short"
    assert short.verdict.startswith("the run was too short to tell what limits it")
    for word in ("try", "Python", "bound"):
        assert word not in short.verdict


def test_advice_fits_the_run():
    decode = {"ms": {**MS, "decode": 50.0}}
    assert "--fast-decode" in timing(**decode, large_jpegs=True).verdict
    assert "--fast-decode" not in timing(**decode).verdict
    assert "GPU" in timing().verdict
    on_a_gpu = timing(shares_cores=False, device_seconds=8.0, batch_size=64).verdict
    assert "a larger --batch-size than 64, export --precision fp16, --device tensorrt" in on_a_gpu
    assert "faster GPU" in on_a_gpu
    done = timing(shares_cores=False, device_seconds=8.0, device="tensorrt", precision="float16").verdict
    assert "fp16" not in done
    assert "tensorrt" not in done
    assert "int8" not in timing().verdict


def test_fast_decode_helps_with_large_jpegs_only(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    entries = {}
    for name, side in (("large.jpg", 64), ("small.jpg", 12), ("large.png", 64)):
        Image.fromarray(noise[:side, :side]).save(tmp_path / name)
        entries[name] = FileEntry(name, tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    entries["broken.jpg"] = FileEntry("broken.jpg", tmp_path / "broken.jpg")
    loader = ImageLoader(ImageTransform(size=(8, 8)))
    assert [name for name, entry in entries.items() if loader.would_shrink([entry])] == ["large.jpg"]
    assert not ImageLoader(ImageTransform(size=(8, 8)), fast_decode=True).would_shrink([entries["large.jpg"]])
    assert not loader.would_shrink([])


def test_every_stage_stands_in_the_json():
    assert {f"{stage}_ms_per_image" for stage in STAGES} <= timing().to_json().keys()


@pytest.mark.parametrize(("images", "blamed"), [(1000, False), (100_000, True)])
def test_python_is_a_suspect_only_where_an_image_takes_next_to_nothing(images, blamed):
    slow = timing(seconds=40.0, images=images, ms={stage: 10_000 / len(MS) / images for stage in MS})
    for stage in MS:
        slow.clock.wall[stage] *= 4
    assert "other work" in slow.verdict
    assert ("Python" in slow.verdict) == blamed


def test_parts_of_a_job_add_up():
    one, other = timing(images=100, process_seconds=2.0), timing(images=300, process_seconds=4.0, large_jpegs=True)
    both = one.joined(other)
    assert (both.images, both.process_seconds, both.large_jpegs) == (400, 6.0, True)
    assert both.clock.busy["decode"] == one.clock.busy["decode"] + other.clock.busy["decode"]
    assert one.images == 100
    assert (both.seconds, both.cores) == (one.seconds, one.cores)
