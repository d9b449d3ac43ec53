"""Judging predictions from their files alone: reading them, metrics, intervals, comparisons."""
