"""From images to predictions: pipeline, backends, writers. Nothing here imports torch."""
