"""``load_classifier``: the trained network of a run, in torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.observer import SilentObserver

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier


def load_classifier(run: str | Path) -> Classifier:
    """The network of a run with the weights of its best epoch, as ``export`` builds it; on the CPU.

    Args:
        run: A run's name or directory.

    Raises:
        ModelError: if there is no such run, it has no result, or its weights do not fit.
        PluginError: if the plugin of the network is broken.
    """
    from clsbench.api.trained import trained_network

    return trained_network(run, SilentObserver()).classifier
