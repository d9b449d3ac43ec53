"""The built-in metrics, one module each."""
