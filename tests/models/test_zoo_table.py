import json
import subprocess
import sys

import pytest

from clsbench.models import zoo_table
from clsbench.models.simple_cnn import FACTS
from clsbench.models.simple_cnn import build as simple_cnn
from clsbench.models.torchvision_zoo import components
from clsbench.models.zoo_table import SHIPPED, ask_torchvision, names_at_once


def test_the_shipped_table_says_what_the_installed_torchvision_says():
    shipped, asked = json.loads(SHIPPED.read_text(encoding="utf-8")), ask_torchvision().to_json()
    installed, known = (tuple(map(int, each["torchvision"].split(".")[:2])) for each in (asked, shipped))
    if installed < known:
        pytest.skip("the shipped table is of a newer torchvision: make test-lowest")
    assert shipped == asked, "run python benchmarks/zoo_table.py"


def test_the_known_facts_of_resnet18_are_in_it():
    facts = zoo_table.zoo_table().models["resnet18"]
    assert (facts.parameters, facts.size, facts.top1, facts.top5) == (11_689_512, 224, 0.69758, 0.89078)


def test_simple_cnns_facts_are_those_of_the_network_it_builds():
    built = simple_cnn(1000)
    assert (FACTS.parameters, FACTS.size) == (sum(p.numel() for p in built.parameters()), built.transform.size[0])


def test_listing_the_zoo_does_not_import_torchvision(tmp_path):
    code = (
        "import sys; from clsbench.models.torchvision_zoo import components\n"
        "print(len(list(components())), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == ["80", "False"]


@pytest.fixture
def other_release(monkeypatch, tmp_path):
    """torchvision 9.0 is installed, and has one network."""
    monkeypatch.setattr(zoo_table, "version", lambda _: "9.0+cu999")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def ask():
        asked.append(1)
        return zoo_table.ZooTable(torchvision="9.0", models={"newnet": zoo_table.ModelFacts(top1=0.99)})

    monkeypatch.setattr(zoo_table, "ask_torchvision", ask)
    return asked


def test_another_release_is_asked_once_and_its_facts_are_kept(other_release):
    assert "resnet18" in names_at_once()  # what there is without waiting
    for _ in range(2):
        (component,) = components()
        assert (component.name, component.summary) == ("newnet", "torchvision 9.0")
        assert component.facts.top1 == 0.99
    assert other_release == [1]
    assert names_at_once() == ["newnet"]


@pytest.mark.parametrize("damage", ["", "{}", '{"torchvision": "9.0", "models": {"newnet": {"top1": "much"}}}'])
def test_a_damaged_table_is_made_anew(other_release, tmp_path, damage):
    file = tmp_path / "clsbench" / "torchvision-9.0+cu999.json"
    file.parent.mkdir()
    file.write_text(damage, encoding="utf-8")
    assert [component.name for component in components()] == ["newnet"]
    assert other_release == [1]
    assert json.loads(file.read_text(encoding="utf-8"))["torchvision"] == "9.0"


def test_a_cache_that_cannot_be_written_is_no_error(other_release, tmp_path):
    (tmp_path / "clsbench" / "torchvision-9.0+cu999.json").mkdir(parents=True)
    assert [component.name for component in components()] == ["newnet"]
