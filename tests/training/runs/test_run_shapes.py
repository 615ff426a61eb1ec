"""A run folder from someone else: JSON of other types is named."""

import json

import pytest

from tests.training import fake_training
from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.runs.run_folder import RunFolder
from training.tasks import category_file

BAD = {
    "result.json": [
        {"accuracy": "0.5", "scores": {"box_AP": "0.5"}},
        {"accuracy": [], "scores": [0.5]},
        {"accuracy": 10**400, "scores": {"box_AP": 10**400}},
        {"accuracy": 0.5, "scores": {}, "commits": 3},
        {"accuracy": 0.5, "scores": {}, "image_stage": "x"},
        {},
        [],
        None,
    ],
    "versions.json": [{}, 3, [3], [{"commit": 3}], [{"packages": ["a"]}]],
    "data.json": [3, {}, {"classes": 3}, {"classes": [3]}],
    "weights.json": [3, [3], [{"file": 3, "format": "x"}], [{}]],
}
READERS = {
    "result.json": RunFolder.read_result,
    "versions.json": RunFolder.read_versions,
    "data.json": RunFolder.read_info,
    "weights.json": RunFolder.read_provenance,
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_of_other_types_is_named(tmp_path, name):
    run = RunFolder(tmp_path)
    texts = [json.dumps(value) for value in BAD[name]]
    for text in [*texts, "[" * 200_000, '{"a":' * 200_000, "", "\udcff"]:
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(UserError, match=f"{name} cannot be read") as caught:
            READERS[name](run)
        assert len(str(caught.value)) < 500


def test_files_without_what_older_code_did_not_write_are_read(tmp_path):
    run = RunFolder(tmp_path)
    result = fake_training.result("digits_nl", 0)
    run.write_result(result)
    assert run.read_result() == result
    run.versions_path.write_text('[{"started": "2030", "machine": "x"}]')
    assert run.read_versions()[0]["machine"] == "x"
    run.data_path.write_text('{"classes": ["a"], "sha256": "x"}')
    assert run.read_info() is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", "3"),
        ("steps", 2.5),
        ("batch", True),
        ("batch", 10**400),
        ("optimizer", 3),
        ("sampling", [1]),
        ("seed", None),
        ("model", {"name": 3}),
        ("data", {"root": ["x"] * 9999}),
    ],
)
def test_a_recipe_of_other_types_is_named(tmp_path, field, value):
    run = RunFolder(tmp_path)
    values = json.loads(overrides.to_json(get_recipe("digits_nl")))
    run.recipe_path.write_text(json.dumps({**values, field: value}))
    with pytest.raises(UserError, match="recipe.json: Not a recipe") as caught:
        run.read_recipe()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "rows",
    [
        3,
        [3],
        [{"id": 1}],
        [{"id": 1, "name": 2, "keypoints": [], "skeleton": []}],
    ],
)
def test_categories_of_other_types_are_named(tmp_path, rows):
    (tmp_path / category_file.CATEGORIES).write_text(json.dumps(rows))
    with pytest.raises(UserError, match="categories.json cannot be read"):
        category_file.read_categories(tmp_path)
