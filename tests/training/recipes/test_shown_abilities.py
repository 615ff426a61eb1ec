import json

import pytest

from training import models
from training.io import cli
from training.recipes import abilities, catalogue, shown_abilities
from training.recipes.shown_abilities import LISTED


@pytest.fixture
def store(monkeypatch, tmp_path):
    """Store what networks showed, in place of the repository's file."""

    def store(**recipes):
        path = tmp_path / "shown.json"
        content = {"least_accuracy": 0.8, "recipes": recipes}
        path.write_text(json.dumps(content))
        monkeypatch.setattr(shown_abilities, "PATH", path)
        shown_abilities._read.cache_clear()

    yield store
    shown_abilities._read.cache_clear()


def shown(*seen):
    missed = [name for name in LISTED if name not in seen]
    return {"saw": list(seen), "did not see": missed}


def test_what_was_not_run_is_said(store):
    part = {"saw": ["motion"], "did not see": [*LISTED[2:]]}
    store(abilities_i3d=part, abilities_c2d=shown())
    assert shown_abilities.of_recipe("abilities_i3d") == (
        "saw: motion; not run: appearance"
    )
    assert shown_abilities.of_recipe("abilities_c2d") == "saw: none"
    assert shown_abilities.of_recipe("abilities_nl1") == ""


def test_recipes_are_listed_with_what_they_saw(store):
    store()
    without = catalogue.catalogue().splitlines()
    store(abilities_i3d=shown("appearance", "motion"))
    lines = catalogue.catalogue().splitlines()
    place = next(i for i, x in enumerate(lines) if " abilities_i3d " in x)
    assert lines[place + 1] == "      saw: appearance, motion"
    legend = shown_abilities.legend()
    assert "80 % or more" in legend
    assert lines[-2:] == legend.splitlines()
    assert without == [*lines[: place + 1], *lines[place + 2 : -2]]


def test_networks_are_listed_with_what_each_recipe_saw(store, capsys):
    store(
        abilities_nl1=shown("far_both"),
        abilities_nl1_space=shown("far_space", "long"),
        abilities_nl2=shown("two_hops"),
    )
    assert cli.run(models.main, ["--list", "c2d_local_nl*"]) == 0
    listed, *notes, _ = capsys.readouterr().out.split("\n\n")
    assert listed.splitlines()[1:] == [
        "  c2d_local_nl1_small",
        "      saw: far_space, long (abilities_nl1_space)",
        "      saw: far_both (abilities_nl1)",
        "  c2d_local_nl2_small",
        "      saw: two_hops (abilities_nl2)",
        "  c2d_local_nl4_small",
    ]
    assert shown_abilities.legend() in notes


def test_nothing_is_explained_where_no_network_was_trained(store, capsys):
    store(abilities_nl1=shown("far_both"))
    assert cli.run(models.main, ["--list", "i3d_nl5_*"]) == 0
    assert "saw" not in capsys.readouterr().out
    store()
    assert shown_abilities.legend() == ""


def test_lines_are_readable_where_all_is_seen(store):
    store(**{name: shown(*LISTED) for name in abilities.NETWORKS})
    lines = catalogue.catalogue().splitlines()
    for _, network, *_ in abilities.NETWORKS.values():
        lines += shown_abilities.of_network(network)
    assert max(map(len, lines)) <= 110
