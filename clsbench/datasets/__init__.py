"""Labelled images: where they come from, how they are split, how classes are matched."""

#: The largest seed that numpy, scikit-learn and torch all take.
MAX_SEED = 2**32 - 1
