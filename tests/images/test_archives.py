import bz2
import contextlib
import gzip
import io
import lzma
import os
import pickle
import random
import struct
import tarfile
import threading
import zipfile
import zlib

import pytest

from clsbench.errors import DataError, ImageError
from clsbench.images.sources import stores
from clsbench.images.sources.archive import ArchiveSource
from clsbench.images.sources.folder import FolderSource
from clsbench.images.sources.given import open_paths
from clsbench.images.sources.lookup import ImageLookup

PNG = b"\x89PNG\r\n\x1a\n"
FILES = {"cat/1.png": PNG + b"1", "cat/deep/2.JPG": b"two", "dog/3": PNG + b"3", "notes.txt": b"text", "z.png": b"z"}
WRAPPED = {"tar": lambda data: data, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


def tarred(files, *, links=()):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in links:
            archive.addfile(info)
    return buffer.getvalue()


def zipped(files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture(params=[*WRAPPED, "zip"])
def archive(request, tmp_path):
    """A function that writes files into an archive of each kind."""

    def write(files, name="photos"):
        path = tmp_path / f"{name}.{request.param}"
        path.write_bytes(zipped(files) if request.param == "zip" else WRAPPED[request.param](tarred(files)))
        return path

    return write


def contents(source):
    return {entry.name: entry.read() for entry in source.entries}


def test_an_archive_of_a_folder_gives_the_rows_of_the_folder(archive, tmp_path):
    for name, data in FILES.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(data)
    folder, packed = FolderSource(tmp_path / "photos"), ArchiveSource(archive(dict(reversed(FILES.items()))))
    assert list(contents(packed).items()) == list(contents(folder).items())
    assert packed.skipped == folder.skipped


def test_entries_can_be_pickled_and_read_from_many_threads(archive):
    path = archive({f"{k}.png": bytes([k]) * 1000 for k in range(50)})
    entries = pickle.loads(pickle.dumps(list(ArchiveSource(path).entries)))
    stores.forget(str(path))  # as in another process
    wrong = []

    def read():
        wrong.extend(entry.name for entry in entries if entry.read() != bytes([int(entry.name[:-4])]) * 1000)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_stamp_changes_with_the_archive(archive):
    path = archive({"1.png": b"one"})
    (entry,) = ArchiveSource(path).entries
    assert entry.stamp() == (3, os.stat(path).st_mtime_ns)
    os.utime(path, ns=(1, 1))
    assert entry.stamp() == (3, 1)


def test_names_lead_nowhere_and_what_systems_leave_is_passed_over(archive):
    source = ArchiveSource(
        archive({"./a//1.png": b"1", "__MACOSX/a/._1.png": b"", "/b/2.png": b"2", "__MACOSX/._b": b"", "a/.x.png": b""})
    )
    assert list(contents(source)) == ["a/1.png", "b/2.png"]
    assert [one.name for one in source.skipped] == ["__MACOSX/"]


def test_several_shards_and_ranges_are_one_source(archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [archive({"1.png": bytes([k])}, f"s-{k:02d}").name for k in (9, 10)]
    wanted = {f"{name}/1.png": bytes([k]) for name, k in zip(names, (9, 10), strict=True)}
    suffix = names[0].partition(".")[2]
    for given in (names, [f"s-*.{suffix}"], [f"s-{{09..10}}.{suffix}"]):
        assert contents(open_paths(given)) == wanted


def test_names_of_a_predictions_file_lead_into_archives_but_not_out_of_the_folder(archive, tmp_path):
    path = archive({"cat/1.png": b"one"})
    outside = tmp_path / "photos"
    outside.mkdir()
    assert ImageLookup(tmp_path)(f"{path.name}/cat/1.png").read() == b"one"
    assert ImageLookup(path)("cat/1.png").read() == b"one"
    for root, name in ((outside, f"../{path.name}/cat/1.png"), (tmp_path, f"{path.name}/no.png"), (path, "no.png")):
        with pytest.raises(DataError, match=r"leads out|no such image"):
            ImageLookup(root)(name)


def test_of_two_files_of_one_name_the_last_counts_and_the_other_is_named(tmp_path):
    (tmp_path / "a.tar").write_bytes(tarred([("1.png", b"old"), ("2.png", b"2"), ("1.png", b"new")]))
    source = ArchiveSource(tmp_path / "a.tar")
    assert contents(source) == {"1.png": b"new", "2.png": b"2"}
    assert [(one.name, one.reason) for one in source.skipped] == [
        ("1.png", "a file of the same name comes later in the archive")
    ]


def test_links_and_devices_are_passed_over(tmp_path):
    links = [tarfile.TarInfo(f"{k}.png") for k in range(3)]
    for info, kind in zip(links, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE), strict=True):
        info.type, info.linkname = kind, "/etc/passwd"
    (tmp_path / "a.tar").write_bytes(tarred({"a.png": b"a"}, links=links))
    source = ArchiveSource(tmp_path / "a.tar")
    assert list(contents(source)) == ["a.png"]
    assert [one.reason for one in source.skipped] == ["a link in an archive"] * 2 + ["a device in an archive"]


@pytest.mark.parametrize("cut", [1536, 1600, 2048, 2148, 3000])
@pytest.mark.parametrize("wrap", [lambda data: data, gzip.compress], ids=["tar", "tar.gz"])
def test_what_a_cut_archive_still_holds_is_read_and_the_rest_is_said_to_be_missing(tmp_path, cut, wrap):
    whole = tarred({f"{k}.png": bytes(700) for k in range(3)})  # a header of 512 bytes and 1024 of content each
    (tmp_path / "a.tar.gz").write_bytes(wrap(whole[:cut]))
    source = ArchiveSource(tmp_path / "a.tar.gz")
    assert source.entries[0].read() == bytes(700)
    assert [one.damage for one in source.skipped] == [True]
    assert "a.tar.gz" in source.skipped[0].name
    assert len(source.entries) == (2 if cut >= 2048 else 1)
    if 2048 <= cut < 2748:
        with pytest.raises(ImageError, match="ends within") as caught:
            source.entries[1].read()
        assert caught.value.reason == "truncated"


def test_a_cut_gzip_stream_is_damage(tmp_path):
    noise = os.urandom(20000)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(tarred({"1.png": noise, "2.png": os.urandom(20000)}))[:-15000])
    source = ArchiveSource(tmp_path / "a.tgz")
    assert source.entries[0].read() == noise
    assert any(one.damage and "cut off" in one.reason for one in source.skipped)


def test_a_damaged_header_within_a_tar_is_damage(tmp_path):
    data = bytearray(tarred({f"{k}.png": bytes(700) for k in range(3)}))
    data[1536 : 1536 + 200] = b"x" * 200
    (tmp_path / "a.tar").write_bytes(data)
    source = ArchiveSource(tmp_path / "a.tar")
    assert len(source.entries) == 1
    assert "damaged after 0.png" in source.skipped[0].reason


def test_a_negative_size_leads_to_no_endless_loop(tmp_path):
    data = bytearray(tarred({f"{k}.png": bytes(700) for k in range(3)}))
    header = data[1536:2048]
    header[124:136] = b"\xff" * 8 + (-2048 & 0xFFFFFFFF).to_bytes(4, "big")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data[1536:2048] = header
    (tmp_path / "a.tar").write_bytes(data)
    source = ArchiveSource(tmp_path / "a.tar")
    assert len(source.entries) == 1
    assert source.skipped[0].damage


def test_damaged_bytes_lead_to_reasons_and_to_no_other_exception(tmp_path):
    chance = random.Random(0)
    seeds = [tarred(FILES), zipped(FILES), gzip.compress(tarred(FILES)), zipped(FILES, zipfile.ZIP_STORED)]
    path, read = tmp_path / "a.tar", 0
    for number in range(800):
        data = bytearray(seeds[number % len(seeds)])
        for _ in range(chance.choice([1, 2, 5])):
            place, other = chance.randrange(len(data)), chance.randrange(len(data))
            if chance.random() < 0.7:
                data[place] = chance.randrange(256)
            else:
                data[place : place + 40] = data[other : other + 50]
        path.write_bytes(data[: chance.randrange(1, 2 * len(data))])
        stores.forget(str(path))
        with contextlib.suppress(DataError):
            for entry in ArchiveSource(path).entries:
                with contextlib.suppress(ImageError):
                    entry.read()
                    read += 1
    assert read > 500


def test_the_folder_of_the_archive_itself_is_nothing_to_tell(tmp_path):
    (tmp_path / "b.zip").write_bytes(zipped({"./": b"", "1.png": b"1"}))
    assert list(contents(ArchiveSource(tmp_path / "b.zip"))) == ["1.png"]
    assert ArchiveSource(tmp_path / "b.zip").skipped == []


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
@pytest.mark.parametrize(
    "data", [b"", b"hello", zipped(FILES)[:-30], b"\x1f\x8b\x08"], ids=["empty", "text", "cut", "gz"]
)
def test_what_is_no_archive_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=r"archive|no images"):
        ArchiveSource(tmp_path / name)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_of_compression(tmp_path, method):
    (tmp_path / "a.zip").write_bytes(zipped({"1.png": b"one" * 100}, method))
    (entry,) = ArchiveSource(tmp_path / "a.zip").entries
    if method == zipfile.ZIP_LZMA:
        with pytest.raises(ImageError, match="compressed in a way"):
            entry.read()
    else:
        assert entry.read() == b"one" * 100


def test_an_encrypted_file_is_an_entry_that_says_so(tmp_path):
    data = bytearray(zipped({"1.png": b"one"}))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ImageError, match="encrypted") as caught:
        ArchiveSource(tmp_path / "a.zip").entries[0].read()
    assert caught.value.reason == "unsupported"


def test_a_bomb_stops_at_what_the_directory_declares(tmp_path):
    data = bytearray(zipped({"1.png": bytes(50_000_000)}))
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", 1000)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ImageError, match="damaged"):
        ArchiveSource(tmp_path / "a.zip").entries[0].read()


def test_a_file_may_not_be_larger_than_the_limit(archive, monkeypatch):
    source = ArchiveSource(archive({"1.png": bytes(2000)}))
    for module in ("stores", "zip_members"):
        monkeypatch.setattr(f"clsbench.images.sources.{module}.LARGEST", 1000)
    with pytest.raises(ImageError) as caught:
        source.entries[0].read()
    assert caught.value.reason == "too_large"


def test_an_archive_that_grows_without_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_ALLOWED", 1000)
    monkeypatch.setattr(stores, "_PART", 1 << 16)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(bytes(10_000_000)))
    with pytest.raises(DataError, match="grows without measure"):
        ArchiveSource(tmp_path / "a.tgz")


def test_a_copy_needs_room(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_RESERVE", 1 << 62)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(tarred(FILES)))
    with pytest.raises(DataError, match=r"not enough room(.|\n)*TMPDIR"):
        ArchiveSource(tmp_path / "a.tgz")


def test_more_archives_than_may_be_open_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "OPEN", 3)
    for k in range(9):
        (tmp_path / f"{k}.tar").write_bytes(tarred({"1.png": bytes([k])}))
    source = open_paths([str(tmp_path / f"{k}.tar") for k in range(9)])
    for _ in range(2):
        assert [entry.read() for entry in source.entries] == [bytes([k]) for k in range(9)]
    assert len(stores._files) <= 3


def test_a_checksum_that_is_wrong_is_a_reason(tmp_path):
    data = bytearray(zipped({"1.png": b"one"}, zipfile.ZIP_STORED))
    data[data.index(b"one")] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    assert zlib.crc32(b"one")
    with pytest.raises(ImageError, match="other bytes"):
        ArchiveSource(tmp_path / "a.zip").entries[0].read()
