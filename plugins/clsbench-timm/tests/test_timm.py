import pytest
from clsbench.testing import plugin_checks

@pytest.mark.parametrize("check", plugin_checks("timm"), ids=str)
def test_plugin(check):
    check()
