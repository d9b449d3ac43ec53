"""``python -m clsbench``: the program, where its script is not on the path."""

from clsbench.cli.main import run

if __name__ == "__main__":
    run()
