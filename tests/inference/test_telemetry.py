"""ONNX Runtime's telemetry is off: no socket, and nothing in the home and cache folders."""

import json
import os
import subprocess
import sys
from textwrap import dedent

import pytest

#: Opens a session, runs it, and reports the sockets that were seen meanwhile.
SESSION = """
    import json, os, sys, threading, time
    import clsbench
    import numpy as np
    from clsbench.inference.sessions import open_session

    sockets, ended = set(), threading.Event()

    def watch():
        while not ended.is_set():
            for number in os.listdir("/proc/self/fd"):
                try:
                    target = os.readlink(f"/proc/self/fd/{number}")
                except OSError:
                    continue
                if target.startswith("socket:"):
                    sockets.add(target)
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    session = open_session(sys.argv[1], "cpu")
    session.run(None, {"images": np.zeros((1, 8, 8, 3), np.uint8)})
    time.sleep(float(sys.argv[2]))
    ended.set()
    watcher.join()
    print(json.dumps({"sockets": len(sockets), "setting": os.environ["ORT_DISABLE_TELEMETRY"]}))
"""


@pytest.fixture
def session(tiny_onnx, tmp_path):
    """session(setting, wait=): the report of a fresh process, and the files it left in its home and cache."""

    def run(setting, wait=0.5):
        home, cache = tmp_path / "home", tmp_path / "cache"
        home.mkdir()
        cache.mkdir()
        kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
        environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(cache), **setting}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", dedent(SESSION), str(tiny_onnx), str(wait)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        files = [path.relative_to(tmp_path).as_posix() for top in (home, cache) for path in top.rglob("*")]
        return json.loads(done.stdout), files

    return run


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is read")
def test_a_session_opens_no_socket_and_writes_nothing(session):
    report, files = session({})
    assert report == {"sockets": 0, "setting": "1"}
    assert files == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is read")
def test_a_users_own_setting_stays_and_shows_what_telemetry_would_write(session):
    report, files = session({"ORT_DISABLE_TELEMETRY": "0"}, wait=3)
    assert report["setting"] == "0"
    if not files and not report["sockets"]:
        pytest.skip("ONNX Runtime shows no telemetry here even when asked, so the test beside this one proves nothing")
