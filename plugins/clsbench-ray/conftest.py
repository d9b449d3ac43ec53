"""Where Ray is not installed, the modules that need it are not looked at for doctests; the tests skip, with a reason."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("clsbench_ray") else ["src"]
