"""The predictions file: its rows and columns, writers, readers and manifest. Nothing here imports torch."""
