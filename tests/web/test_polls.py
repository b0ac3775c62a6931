"""Polls over real sockets: what they must not wait for, and what must not wait for them."""

import contextlib
import gzip
import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from helpers import PATIENCE, wait_for

from server import MOST_WAITING
from web.polls import GZIP_FROM, PATH, Polls, PollServer, pack

WORKERS = 2
LARGE = 2_000_000  # bytes: of ten such answers waitress waits until the client has read some


class Site:
    """An app under Polls, whose answers a test decides on, served as the program does."""

    def __init__(self, **settings: Any) -> None:
        self.news: dict[str, Any] = {"boot": "b"}
        self.release = threading.Event()
        self.waiting = threading.Semaphore(0)
        app = Polls(self._app, self._answer)
        self.server = PollServer(app, threads=WORKERS, host="127.0.0.1", port=0, **settings)
        self.port = int(self.server.waitress.effective_port)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def _answer(self, boot: str | None, run: str | None, since: int | None, **wish: int) -> dict[str, Any]:
        return self.news | {"cursor": [boot, run, since]} | wish | ({"much": "x" * LARGE} if run == "much" else {})

    def _app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/wait":
            self.waiting.release()
            assert self.release.wait(PATIENCE)
        if environ["PATH_INFO"] == "/export":
            start_response("200 OK", [("Content-Length", str(20 * LARGE))])
            return (b"x" * LARGE for _ in range(20))
        body = json.dumps({"app": environ["PATH_INFO"], "query": environ["QUERY_STRING"]}).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serving(Site())


def serving(site: Site) -> Iterator[Site]:
    yield site
    site.release.set()
    site.server.waitress.trigger.pull_trigger(lambda: [each.close() for each in list(site.server.sockets.values())])
    site.thread.join(PATIENCE)
    assert not site.thread.is_alive()


def test_plain_poll_is_answered_with_its_cursor(site: Site) -> None:
    assert site.get(PATH) == {"boot": "b", "cursor": [None, None, None]}
    assert site.get(f"{PATH}?boot=b&run=20260101-000000-ab&since=7") == {
        "boot": "b",
        "cursor": ["b", "20260101-000000-ab", 7],
    }
    assert site.get(f"{PATH}?boot=b&run=&since=0")["cursor"] == ["b", "", 0]


def test_exports_that_nobody_reads_hold_no_thread() -> None:
    for site in serving(Site(outbuf_high_watermark=MOST_WAITING)):
        clients = [site.connect() for _ in range(WORKERS + 1)]
        for client in clients:
            client.sendall(b"GET /export HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert site.get("/other")["app"] == "/other"
        for client in clients:
            with client.makefile("rb") as answer:
                head = list(iter(answer.readline, b"\r\n"))
                assert f"Content-Length: {20 * LARGE}\r\n".encode() in head
                assert len(answer.read(20 * LARGE)) == 20 * LARGE
            client.close()


def test_plain_poll_may_say_how_its_curves_are_smoothed(site: Site) -> None:
    assert site.get(f"{PATH}?boot=b&run=r&since=7&smoothing=27500") == {
        "boot": "b",
        "cursor": ["b", "r", 7],
        "smoothing": 27500,
    }
    assert site.get(f"{PATH}?smoothing=0") == {"boot": "b", "cursor": [None, None, None], "smoothing": 0}


@pytest.mark.parametrize(
    "query", ["since=-1", "boot=b", "since=1&boot=b&run=r", "boot=b&run=r&since=1e3", "boot=%20", "smoothing=3"]
)
def test_poll_with_another_query_is_left_to_the_app(site: Site, query: str) -> None:
    assert site.get(f"{PATH}?{query}") == {"app": PATH, "query": query}


def test_news_that_utf8_cannot_hold_are_left_to_the_app(site: Site) -> None:
    site.news = {"error": "\ud800"}
    assert site.get(PATH)["app"] == PATH


def test_polls_are_answered_while_every_worker_is_busy(site: Site) -> None:
    busy = [threading.Thread(target=site.get, args=("/wait",)) for _ in range(WORKERS + 1)]
    for thread in busy:
        thread.start()
    for _ in range(WORKERS):
        assert site.waiting.acquire(timeout=PATIENCE)
    assert site.get(PATH)["boot"] == "b"
    site.release.set()
    for thread in busy:
        thread.join(PATIENCE)
    assert site.get("/other") == {"app": "/other", "query": ""}


def test_client_that_asks_for_much_and_reads_nothing_holds_nobody_up(site: Site) -> None:
    request = f"GET {PATH}?boot=b&run=much&since=0 HTTP/1.1\r\nHost: x\r\n\r\n"
    with site.connect() as greedy:
        greedy.sendall(request.encode() * 100)
        for _ in range(20):
            assert site.get(PATH)["boot"] == "b"
        assert site.get("/other")["app"] == "/other"


def test_clients_that_are_gone_before_their_answer_leave_nothing_behind(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(site.server.sockets)
    for _ in range(50):
        with site.connect() as client:
            client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not a farewell
    assert site.get(PATH)["boot"] == "b"
    wait_for(lambda: len(site.server.sockets) == before, "end of the connections")
    assert caplog.records == []


def test_polls_that_come_in_one_go_are_answered_in_turn(site: Site) -> None:
    with site.connect() as client:
        for since in range(20):
            client.sendall(f"GET {PATH}?boot=b&run=r&since={since} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while received.count(b'"cursor"') < 20:
            received += client.recv(65536)
    places = [received.index(f'"r",{since}]'.encode()) for since in range(20)]
    assert places == sorted(places)


def test_malformed_http_is_refused_and_polls_go_on(site: Site) -> None:
    with site.connect() as client:
        client.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert b" 400 " in client.recv(65536)
    assert site.get(PATH)["boot"] == "b"


def test_only_an_answer_longer_than_a_packet_is_packed_and_only_for_a_client_that_unpacks_it() -> None:
    long = b"x" * GZIP_FROM
    body, headers = pack(long, "gzip, br")
    assert gzip.decompress(body) == long
    assert headers == {"Cache-Control": "no-store", "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    assert pack(long, "br") == (long, {"Cache-Control": "no-store"})
    assert pack(long[1:], "gzip") == (long[1:], {"Cache-Control": "no-store"})
