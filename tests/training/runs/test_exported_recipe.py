import json

import pytest

from training.io.user_error import UserError
from training.recipes import get_recipe, overrides
from training.runs import exported_recipe


@pytest.mark.parametrize("name", ["digits_nl", "small"])
def test_a_saved_model_of_another_version_is_refused_in_one_line(
    name, tmp_path
):
    values = json.loads(overrides.to_json(get_recipe(name)))
    del values["steps"]
    path = tmp_path / "assets" / "recipe.json"
    path.parent.mkdir()
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match="missing field 'steps'") as caught:
        exported_recipe.read(tmp_path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(str(path)) and "export its run again" in line
