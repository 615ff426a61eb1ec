"""A server survives hostile requests and answers valid ones in between."""

import contextlib

import pytest

from tests.savedmodels import hostile
from tests.savedmodels.hostile_requests import Requests


def test_hundred_requests_in_this_process(server, served):
    version = served[1] / "shares" / "10"
    requests = Requests("shares", version, seed=1)
    raw_client = hostile.RawClient(server.grpc_address, server.rest_address)
    with contextlib.closing(raw_client):
        counts = hostile.attack(requests, raw_client, 100)
    assert counts.total() == 100
    assert counts["good, gRPC"] and counts["good, REST"] and counts["HTTP 400"]


def test_requests_follow_from_the_seed(served):
    version = served[1] / "shares" / "10"
    first, same = (Requests("shares", version, seed=2) for _ in range(2))
    drawn = [
        [requests.bad_message() for _ in range(20)]
        for requests in (first, same)
    ]
    assert drawn[0] == drawn[1]


def test_wrong_outputs_are_detected(server, served):
    requests = Requests("shares", served[1] / "shares" / "10", seed=3)
    good = requests.good

    def unlike():
        signature, inputs, expected = good()
        expected["probabilities"] = expected["probabilities"] + 2e-5
        return signature, inputs, expected

    requests.good = unlike
    raw_client = hostile.RawClient(server.grpc_address, server.rest_address)
    with (
        contextlib.closing(raw_client),
        pytest.raises(hostile.UnexpectedResponse),
    ):
        hostile.attack(requests, raw_client, 50)


@pytest.mark.full
def test_server_process_survives_two_thousand_requests():
    assert hostile.run(2000, seed=4).total() == 2000
