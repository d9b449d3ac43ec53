"""Every task of clsbench as one Python function; what the command line and Python users share.

One module a task. A function takes names (of models, datasets, files), turns them into objects
through the registry, does the task, tells an :class:`~clsbench.api.observer.Observer` how it goes
and returns a typed result. Nothing here prints.
"""
