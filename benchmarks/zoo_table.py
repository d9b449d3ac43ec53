"""What the installed torchvision says of its networks, as clsbench ships it.

    python benchmarks/zoo_table.py            # rewrites clsbench/models/zoo_table.json; needs torchvision, no network

``clsbench models`` and completion read that file instead of importing torchvision, which takes seconds.
tests/models/test_zoo_table.py fails where the two differ.
"""

from __future__ import annotations

from reporting import print_table

from clsbench.json_fields import write_json
from clsbench.models.zoo_table import SHIPPED, ask_torchvision


def main() -> None:
    table = ask_torchvision()
    write_json(SHIPPED, table.to_json())
    rows = [(name, facts.parameters, facts.size, facts.top1) for name, facts in table.models.items()]
    print_table(f"torchvision {table.torchvision}", ("network", "parameters", "input", "top-1"), rows)


if __name__ == "__main__":
    main()
