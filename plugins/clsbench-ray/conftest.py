"""Where Ray is not installed, no doctests are looked for in the modules that need it; the tests skip, with a reason."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("clsbench_ray") else ["src"]
