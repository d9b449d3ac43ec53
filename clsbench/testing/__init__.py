"""The conformance kit: one list of named checks for every kind of component, built-in or not.

A plugin's tests need nothing else of clsbench:

    @pytest.mark.parametrize("check", plugin_checks("acme"), ids=str)
    def test_plugin(check):
        check()

``clsbench plugins check acme`` runs the same list. A check raises :class:`BrokenRule`, an AssertionError that names
the rule, or :class:`NotChecked`, which pytest reports as skipped, where the author has to give something first.
Functions such as :func:`check_model` try all rules of a kind on one component. The rules are in the modules here, one
a kind, each with what it demands and why.
"""

from clsbench.testing.check_components import (
    check_backend,
    check_dataset,
    check_decoder,
    check_executor,
    check_metric,
    check_model,
    check_options_are_keywords,
    check_source,
    check_writer,
    installed,
)
from clsbench.testing.listing import plugin_checks
from clsbench.testing.rules import BrokenRule, Check, NotChecked, Outcome, run_checks
from clsbench.testing.samples import images_for

__all__ = [
    "BrokenRule",
    "Check",
    "NotChecked",
    "Outcome",
    "check_backend",
    "check_dataset",
    "check_decoder",
    "check_executor",
    "check_metric",
    "check_model",
    "check_options_are_keywords",
    "check_source",
    "check_writer",
    "images_for",
    "installed",
    "plugin_checks",
    "run_checks",
]
