"""Networks. Every module here imports torch; hooks import them inside build functions."""
