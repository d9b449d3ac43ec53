"""Judging predictions: metrics and their intervals, from outcomes alone."""
