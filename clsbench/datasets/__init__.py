"""Labelled images: where they come from, how they are split, how classes are matched."""
