"""Retries while a server is unavailable."""

import pytest


@pytest.fixture
def serving_base(clients):
    import serving_base

    return serving_base


def test_retries_share_one_timeout(serving_base, monkeypatch):
    now, remaining = [50.0], []
    monkeypatch.setattr(serving_base.time, "monotonic", lambda: now[0])

    def nobody(left_s):
        remaining.append(left_s)
        now[0] += 2.5
        raise serving_base.Unavailable("made up")

    with pytest.raises(serving_base.ClientError, match="made up"):
        serving_base.retry(nobody, "x:1", timeout_s=7)
    assert remaining == [7, 4.5, 2]


def test_waits_grow_with_jitter(serving_base, monkeypatch):
    slept = []
    monkeypatch.setattr(serving_base, "WAITS_S", (0.1, 0.2, 0.4))
    monkeypatch.setattr(serving_base.time, "sleep", slept.append)

    def nobody(left_s):
        raise serving_base.Unavailable("made up")

    with pytest.raises(serving_base.ClientError, match="made up"):
        serving_base.retry(nobody, "x:1", timeout_s=60)
    assert len(slept) == 3
    for wait, most in zip(slept, (0.1, 0.2, 0.4), strict=True):
        assert most / 2 <= wait <= most
