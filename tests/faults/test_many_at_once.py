"""Many clients at once, over many instances of the function: nothing is lost, and nothing is done twice.

What they were answered fits one order of what was done (history.py, judge.py), whatever the network did meanwhile.
"""

import http.client
import socket
import time

import pytest

from tests.support.local_server import PATIENCE
from tests.support.proxy import Proxy
from tests.support.run_histories import Figures
from tests.support.sms_clients import Texts
from tests.support.testbed import Ground

WEATHER = pytest.mark.parametrize("fair", [True, False], ids=["fair", "bad"])


@WEATHER
@pytest.mark.parametrize("seed", range(100, 102))
def test_the_answers_to_many_clients_are_linearizable(ground: Ground, seed: int, fair: bool) -> None:  # noqa: FBT001 - a case
    figures = Figures()
    figures.add(ground, seed, fair=fair)
    assert not figures.wrong, figures.report()
    assert figures.counts["histories of tasks"] > 10
    assert (figures.counts["faults of the network"] > 0) is not fair


@WEATHER
@pytest.mark.parametrize("seed", range(2))
def test_each_key_sends_one_text_at_most_and_the_limits_are_exact(tight: Ground, seed: int, fair: bool) -> None:  # noqa: FBT001 - a case
    texts = Texts(tight, seed, fair=fair)
    assert not list(texts.violations())
    assert {sent.answer.status for sent in texts.sent} >= {202, 429}


@pytest.mark.parametrize("spoiled", [0, 1], ids=["waits", "hangs up"])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_the_proxy_counts_an_exchange_as_spoiled_if_the_client_hangs_up_before_the_answer(
    connection: str, spoiled: int
) -> None:
    with Proxy() as proxy, socket.create_server(("127.0.0.1", 0)) as peer:
        wire = proxy.wire(f"http://127.0.0.1:{peer.getsockname()[1]}", "")
        client = http.client.HTTPConnection("127.0.0.1", proxy.server_address[1])
        client.request("GET", "/", headers={"Connection": connection})
        upstream, _ = peer.accept()
        if spoiled:
            client.close()
        upstream.sendall(b"HTTP/1.1 200 -\r\nContent-Length: 0\r\n\r\n")
        upstream.close()
        if not spoiled:
            client.getresponse().read()
            client.close()
        end = time.monotonic() + PATIENCE
        while len(wire.spoiled) < spoiled and time.monotonic() < end:
            time.sleep(0.01)
        assert len(wire.spoiled) == spoiled
