"""A server outlives hostile requests and answers the good ones between."""

import contextlib

import pytest

from tests.savedmodels import hostile
from tests.savedmodels.hostile_requests import Requests


def test_a_hundred_requests_in_this_process(server, served):
    version = served[1] / "shares" / "10"
    requests = Requests("shares", version, seed=1)
    talk = hostile.Talk(server.grpc_address, server.rest_address)
    with contextlib.closing(talk):
        seen = hostile.attack(requests, talk, 100)
    assert seen.total() == 100
    assert seen["good, gRPC"] and seen["good, REST"] and seen["HTTP 400"]


def test_requests_follow_from_the_seed(served):
    version = served[1] / "shares" / "10"
    first, same = (Requests("shares", version, seed=2) for _ in range(2))
    drawn = [[each.bad_message() for _ in range(20)] for each in (first, same)]
    assert drawn[0] == drawn[1]


def test_a_wrong_answer_is_noticed(server, served):
    requests = Requests("shares", served[1] / "shares" / "10", seed=3)
    good = requests.good

    def unlike():
        signature, inputs, expected = good()
        expected["probabilities"] = expected["probabilities"] + 2e-5
        return signature, inputs, expected

    requests.good = unlike
    talk = hostile.Talk(server.grpc_address, server.rest_address)
    with contextlib.closing(talk), pytest.raises(hostile.Wrong):
        hostile.attack(requests, talk, 50)


@pytest.mark.full
def test_a_server_process_outlives_two_thousand():
    assert hostile.run(2000, seed=4).total() == 2000
