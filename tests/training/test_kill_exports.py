import pytest

from tests.training import kill_exports


@pytest.mark.full
def test_killed_exports_leave_complete_versions_alone(tiny, tmp_path, capsys):
    finished = kill_exports.kill_often(tiny[0], tmp_path / "models", kills=3)
    assert finished
    assert "refused a full disk" in capsys.readouterr().out
