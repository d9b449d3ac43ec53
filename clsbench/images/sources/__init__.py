"""Sources: where the entries of a job come from, in a stable order, with what was left out and why."""
