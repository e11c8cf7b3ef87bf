"""Concurrent clients on several instances, with and without faults: linearizable responses, no double effect (checker.py)."""

import http.client
import socket

import pytest

from tests.support.local_server import wait_for
from tests.support.proxy import Proxy
from tests.support.run_histories import Summary
from tests.support.testbed import Testbed

FAULTS = pytest.mark.parametrize("faults", [False, True], ids=["no faults", "faults"])


@FAULTS
@pytest.mark.parametrize("seed", range(100, 102))
def test_the_responses_to_concurrent_clients_are_linearizable(testbed: Testbed, seed: int, *, faults: bool) -> None:
    summary = Summary()
    summary.run_tasks(testbed, seed, faults=faults)
    assert not summary.violations, summary.report()
    assert summary.counts["histories of tasks"] > 10
    assert (summary.counts["faults"] > 0) is faults


@pytest.mark.parametrize("disturbed", [0, 1], ids=["waits", "closes"])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_the_proxy_records_a_request_as_disturbed_if_the_client_closes_the_connection_before_the_response(
    connection: str, disturbed: int
) -> None:
    with Proxy() as proxy, socket.create_server(("127.0.0.1", 0)) as server:
        route = proxy.route(f"http://127.0.0.1:{server.getsockname()[1]}", "")
        client = http.client.HTTPConnection("127.0.0.1", proxy.server_address[1])
        client.request("GET", "/", headers={"Connection": connection})
        upstream, _ = server.accept()
        if disturbed:
            client.close()
        upstream.sendall(b"HTTP/1.1 200 -\r\nContent-Length: 0\r\n\r\n")
        upstream.close()
        if not disturbed:
            client.getresponse().read()
            client.close()
        wait_for(lambda: len(route.disturbed) >= disturbed)
        assert len(route.disturbed) == disturbed
