"""The Hugging Face hub, for plugins whose weights come from there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies


@contextmanager
def without_hub_retries() -> Iterator[None]:
    """Within, what was downloaded before is all that there is, where the hub's host has no address.

    The retries of huggingface_hub take most of a minute to fail, and a machine without a network has none to wait for.
    Behind a proxy nothing changes, as names need not be resolved here. Does nothing without huggingface_hub.
    """
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    if not getproxies():
        try:
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
        except OSError:
            constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
