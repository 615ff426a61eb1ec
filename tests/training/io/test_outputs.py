"""Nothing of the user's is written over."""

import json

import numpy as np
import pytest

from tests.training.data import films
from training.data import clip_files
from training.evaluation import score_parts
from training.io import atomic_files, outputs
from training.io.user_error import UserError


def test_a_file_that_a_command_wrote_is_replaced(tmp_path):
    outputs.write_text(tmp_path / "new" / "a.json", "1")
    outputs.write_text(tmp_path / "new" / "a.json", "2")
    assert (tmp_path / "new" / "a.json").read_text() == "2"


@pytest.mark.parametrize("how", ["never written", "changed", "copied over"])
def test_a_file_of_the_user_is_refused_in_one_line(tmp_path, how):
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    if how != "never written":
        outputs.write_text(path, "ours")
    if how == "copied over":
        other.write_text("theirs")
        other.replace(path)
    path.write_text("theirs")
    for write in (outputs.check, lambda p: outputs.write_text(p, "new")):
        with pytest.raises(UserError, match=r"a\.json exists, and no command"):
            write(path)
    assert path.read_text() == "theirs"


@pytest.mark.parametrize("link", ["same", "symbolic", "hard", "broken"])
def test_an_input_is_refused_also_through_links(tmp_path, link):
    source, path = tmp_path / "in.npy", tmp_path / "out.npy"
    outputs.write_text(source, "of a command, and an input now")
    if link == "same":
        path = tmp_path / "." / "in.npy"
    elif link == "symbolic":
        path.symlink_to(source)
    elif link == "hard":
        path.hardlink_to(source)
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="input" if link != "broken" else "npy"):
        outputs.write_text(path, "new", [source])
    assert source.read_text() == "of a command, and an input now"
    assert link != "broken" or path.is_symlink()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="which is a folder"):
        outputs.check(tmp_path)


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "a").write_text("theirs")
    with pytest.raises(UserError, match="a, which is a file"):
        outputs.Outputs(tmp_path / "a").check("b.json")


def test_free_names_pass_over_inputs_files_of_the_user_and_each_other(tmp_path):
    (tmp_path / "A.PNG").write_text("theirs")
    (tmp_path / "b.png").write_text("an input")
    outputs.write_text(tmp_path / "c.png", "ours")
    written = outputs.Outputs(tmp_path, [tmp_path / "b.png"])
    names = ["a.png", "b.png", "c.png", "C.png", "c_2.png"]
    assert [written.free_name(name) for name in names] == [
        "a_2.png",
        "b_2.png",
        "c.png",
        "C_2.png",
        "c_2_2.png",
    ]


def test_names_of_any_letters_are_recognized(tmp_path):
    for name in ("ü\n2.json", 'a "b".json', "a\udcff.json"):
        outputs.write_text(tmp_path / name, "1")
        outputs.write_text(tmp_path / name, "2")
        assert outputs.Outputs(tmp_path).is_own(name)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_for_the_list_of_outputs_is_refused(tmp_path, exists):
    folder = tmp_path / "handed over"
    folder.mkdir()
    (folder / outputs.LIST).symlink_to(tmp_path / "victim")
    if exists:
        (tmp_path / "victim").write_text("theirs")
    with pytest.raises(UserError, match="is a link.*Delete it"):
        outputs.write_text(folder / "a.json", "1")
    assert (tmp_path / "victim").exists() == exists
    assert not exists or (tmp_path / "victim").read_text() == "theirs"


def test_a_lock_keeps_what_is_in_its_file(tmp_path):
    (tmp_path / ".lock").write_text("theirs")
    with atomic_files.locked(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "theirs"


def test_a_hard_link_for_the_list_of_outputs_is_not_written_to(tmp_path):
    folder = tmp_path / "handed over"
    folder.mkdir()
    (tmp_path / "victim").write_text("theirs")
    (folder / outputs.LIST).hardlink_to(tmp_path / "victim")
    for text in ("1", "2"):
        outputs.write_text(folder / "a.json", text)
    assert (tmp_path / "victim").read_text() == "theirs"
    assert (folder / "a.json").read_text() == "2"


def test_a_clip_is_not_written_over(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"theirs")
    with pytest.raises(UserError, match="exists"):
        clip_files.write_clip(path, films.pictures(2))
    assert path.read_bytes() == b"theirs"


@pytest.mark.parametrize("state", ["[1]", "{}", "no JSON", '{"split": 1}'])
def test_scores_are_not_written_beside_files_of_the_user(tmp_path, state):
    (tmp_path / score_parts.STATE).write_text(state)
    (tmp_path / score_parts.SCORES).write_bytes(b"theirs")
    with pytest.raises(UserError, match="nor a folder of scores"):
        score_parts.Parts(tmp_path, {"split": "test", "weights": "0"})
    assert (tmp_path / score_parts.SCORES).read_bytes() == b"theirs"


def test_scores_of_another_test_are_replaced(tmp_path):
    for weights in ("0", "1"):
        settings = {"split": "test", "weights": weights}
        score_parts.Parts(tmp_path, settings)
        np.savez(tmp_path / score_parts.SCORES)
        text = (tmp_path / score_parts.STATE).read_text()
        assert json.loads(text) == settings
