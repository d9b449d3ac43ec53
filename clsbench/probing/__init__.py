"""Backbones compared by simple heads on their frozen features: which network is worth training?

Each backbone is evaluated once on each image. A linear head and nearest neighbours are then judged
on the same folds for all of them. Features are kept in the cache folder.
"""
