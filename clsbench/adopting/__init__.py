"""Foreign classifiers: what others wrote about them, and their graphs made files that know themselves; no torch."""
