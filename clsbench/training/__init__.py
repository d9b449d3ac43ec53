"""Training: loop, batches, augmentation, checkpoints. The only package built on torch."""
