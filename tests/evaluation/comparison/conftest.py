import pytest


@pytest.fixture(scope="module", autouse=True)
def _statsmodels_collects_no_garbage():
    """Its multipletests runs the garbage collector at each call: up to a second with torch loaded by other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc.collect", lambda generation=2: 0)
        yield
