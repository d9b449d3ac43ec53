import contextlib
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import fsspec
import pytest

from clsbench.errors import DataError, ImageError
from clsbench.images.sources import remote
from clsbench.images.sources.given import open_paths
from clsbench.images.sources.opening import open_images
from clsbench.images.sources.paths import PathsSource
from clsbench.images.sources.remote import RemoteEntry, RemoteSource
from clsbench.images.sources.source import REMOTE_THREADS, reading_threads
from clsbench.images.sources.urls import redacted, without_secrets
from tests.images.test_archives import FILES, PNG, contents, tarred, zipped

needs_http = pytest.mark.skipif(not find_spec("aiohttp"), reason="fsspec[http] is not installed")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(remote, "PAUSE", 0)


@pytest.fixture
def bucket():
    """A folder in fsspec's memory."""
    files = fsspec.filesystem("memory")
    for name, data in FILES.items():
        files.pipe(f"/bucket/photos/{name}", data)
    yield files
    files.rm("/bucket", recursive=True)


def serve(files, log=None):
    """A web server on this machine: path -> bytes, or a function that answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if log is not None:
                log.append(self.path)
            found = files.get(self.path.partition("?")[0])
            if callable(found):
                found(self)
                return
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *args): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def web():
    files = {"/photos/cat.jpg": b"\xff\xd8\xffcat", "/photos/dog": PNG}
    server, url = serve(files)
    yield files, url
    server.shutdown()
    server.server_close()


def test_a_folder_in_a_network_is_listed_as_one_on_a_disk_is(bucket):
    source = RemoteSource("memory://bucket/photos/")
    assert contents(source) == {name: data for name, data in sorted(FILES.items()) if name != "notes.txt"}
    assert [one.name for one in source.skipped] == ["notes.txt"]
    assert {"cat/", "cat/deep/", "dog/"} <= set(source.folders)
    assert pickle.loads(pickle.dumps(source.entries[0])) == source.entries[0]
    assert reading_threads(source.entries, 2) == REMOTE_THREADS
    assert reading_threads(PathsSource(["a.png"]).entries, 2) == 2
    assert reading_threads(PathsSource(["a.png", "https://host/b.png"]).entries, 2) == REMOTE_THREADS


def test_hidden_folders_are_passed_over_and_other_files_are_looked_into(bucket):
    bucket.pipe({"/bucket/photos/.git/a.png": PNG, "/bucket/photos/README": b"text", "/bucket/photos/.b.png": PNG})
    source = RemoteSource("memory://bucket/photos")
    assert "README" in [one.name for one in source.skipped]
    assert ".git/" in [one.name for one in source.skipped]
    assert not [entry.name for entry in source.entries if ".git" in entry.name or ".b" in entry.name]


def test_one_image_an_archive_and_a_list_in_a_network(bucket):
    bucket.pipe({"/bucket/a.tar": tarred(FILES), "/bucket/a.zip": zipped(FILES), "/bucket/list.txt": b"photos/z.png\n"})
    assert contents(open_images("memory://bucket/photos/z.png")) == {"z.png": b"z"}
    assert contents(open_images("memory://bucket/list.txt")) == {"photos/z.png": b"z"}
    for name in ("a.tar", "a.zip"):
        assert contents(open_images(f"memory://bucket/{name}"))["dog/3"] == PNG + b"3"
    several = open_paths(["memory://bucket/a.tar", "memory://bucket/photos/z.png"])
    assert list(contents(several))[-2:] == ["memory://bucket/a.tar/z.png", "memory://bucket/photos/z.png"]


def test_a_pattern_of_urls(bucket):
    bucket.pipe({f"/bucket/shard-{k}.tar": tarred({"1.png": bytes([k])}) for k in range(3)})
    wanted = {f"memory://bucket/shard-{k}.tar/1.png": bytes([k]) for k in range(3)}
    for pattern in ("memory://bucket/shard-*.tar", "memory://bucket/shard-{0..2}.tar"):
        assert contents(open_paths([pattern])) == wanted
    with pytest.raises(DataError, match="no file matches"):
        open_paths(["memory://bucket/no-*.tar"])


def test_a_url_of_a_file_is_that_file(tmp_path):
    (tmp_path / "a b.png").write_bytes(PNG)
    (entry,) = open_images(f"file://{tmp_path}/a%20b.png").entries
    assert (entry.name, entry.path) == ("a b.png", str(tmp_path / "a b.png"))
    assert contents(open_images(f"file://{tmp_path}")) == {"a b.png": PNG}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nowhere/at/all", "nothing at the URL|cannot be listed"),
        ("nonsense://bucket/a.png", "no source opens URLs of this kind"),
        ("http://127.0.0.1:9/photos/", "one image, an archive or a list"),
        ("http://127.0.0.1:9/page.html", "one image, an archive or a list"),
    ],
)
def test_urls_that_lead_nowhere(url, message):
    with pytest.raises(DataError, match=message):
        open_images(url)


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(scheme):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    remote._file_system.cache_clear()
    with pytest.raises(DataError, match=r"s3:// need a package(.|\n)*pip install s3fs"):
        open_images("s3://bucket/photos")
    remote._file_system.cache_clear()


@needs_http
def test_images_and_lists_on_the_web(web):
    files, url = web
    assert contents(open_images(f"{url}/photos/cat.jpg")) == {"cat.jpg": b"\xff\xd8\xffcat"}
    assert contents(open_images(f"{url}/photos/dog")) == {"dog": PNG}
    files["/lists/all.txt"] = f"../photos/cat.jpg\n{url}/photos/dog?token=abc\n".encode()
    files["/a.zip"] = zipped(FILES)
    source = open_images(f"{url}/lists/all.txt")
    assert contents(source) == {"../photos/cat.jpg": b"\xff\xd8\xffcat", f"{url}/photos/dog?token=***": PNG}
    assert contents(open_images(f"{url}/a.zip?X-Amz-Signature=abc"))["z.png"] == b"z"


@needs_http
@pytest.mark.parametrize("line", ["file:///etc/passwd", "local:///etc/passwd", "simplecache::file:///etc/passwd"])
def test_a_list_in_a_network_reads_no_file_of_this_machine(web, line):
    files, url = web
    files["/list.txt"] = line.encode()
    with pytest.raises(DataError, match="a list in a network names"):
        open_images(f"{url}/list.txt")


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"\xff\xd8\xff")


def slow(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        handler.wfile.write(b"\xff\xd8\xff")
        threading.Event().wait(1.5)


def forbidden(handler):
    handler.send_response(403)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@needs_http
@pytest.mark.parametrize(
    ("answer", "reason"), [(None, "missing"), (cut, "unreadable"), (slow, "unreadable"), (forbidden, "unreadable")]
)
def test_what_does_not_arrive_has_a_reason_and_no_secret_in_it(web, monkeypatch, answer, reason):
    files, url = web
    files["/x.jpg"] = answer
    monkeypatch.setattr(remote, "TIMEOUT", 0.3)
    remote._file_system.cache_clear()
    (entry,) = open_images(f"{url}/x.jpg?X-Amz-Signature=s3cret&id=7").entries
    with pytest.raises(ImageError) as caught:
        entry.read()
    remote._file_system.cache_clear()
    assert caught.value.reason == reason
    assert f"{url}/x.jpg?X-Amz-Signature=***&id=7" in str(caught.value)
    assert "s3cret" not in str(caught.value) + repr(entry)


@needs_http
@pytest.mark.parametrize("name", ["list.txt", "list.csv", "a.zip"])
@pytest.mark.parametrize("answer", [None, cut, forbidden])
def test_a_list_or_archive_that_does_not_arrive_is_no_shorter_one(web, name, answer):
    files, url = web
    files[f"/{name}"] = answer
    with pytest.raises(DataError, match=f"{name}"):
        open_images(f"{url}/{name}")


@needs_http
def test_what_fails_once_is_tried_again(web):
    files, url = web
    answers = iter([cut])

    def once(handler):
        if (first := next(answers, None)) is not None:
            first(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", "3")
        handler.end_headers()
        handler.wfile.write(b"\xff\xd8\xff")

    files["/x.jpg"] = once
    assert RemoteEntry("x", f"{url}/x.jpg").read() == b"\xff\xd8\xff"


@needs_http
def test_more_than_an_image_may_have_is_not_read(web, monkeypatch):
    files, url = web
    monkeypatch.setattr(remote, "LARGEST", 10)
    files["/x.jpg"] = bytes(100)
    with pytest.raises(ImageError) as caught:
        RemoteEntry("x", f"{url}/x.jpg").read()
    assert caught.value.reason == "too_large"


def test_secrets_are_in_no_text():
    url = "https://me:pw@host/a.png?id=7&sig=abc&Expires=9&AWSAccessKeyId=k"
    assert redacted(url) == "https://host/a.png?id=7&sig=***&Expires=9&AWSAccessKeyId=***"
    for secret in ("abc", "pw"):
        assert secret not in without_secrets(f"404, message='no', url='{url}'", url)


@pytest.mark.skipif(not (find_spec("moto") and find_spec("s3fs")), reason="moto[server] and s3fs are not installed")
@pytest.mark.filterwarnings("ignore")
def test_a_bucket_of_a_server_that_speaks_s3(monkeypatch):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        files = fsspec.filesystem("s3", skip_instance_cache=True)
        files.mkdir("bucket")
        for name, data in FILES.items():
            files.pipe(f"bucket/photos/{name}", data)
        files.pipe({"bucket/a.tar": tarred(FILES), "bucket/list.txt": b"photos/z.png\nphotos/no.png\n"})
        remote._file_system.cache_clear()
        wanted = {name: data for name, data in sorted(FILES.items()) if name != "notes.txt"}
        assert contents(open_images("s3://bucket/photos")) == wanted
        assert contents(open_images("s3://bucket/a.tar")) == wanted
        assert contents(open_images("s3://bucket/photos/z.png")) == {"z.png": b"z"}
        there, missing = open_images("s3://bucket/list.txt").entries
        assert there.read() == b"z"
        with pytest.raises(ImageError, match="no such image"):
            missing.read()
    finally:
        remote._file_system.cache_clear()
        server.stop()
