"""Polls: /api/metrics, answered in batches by the thread that reads the sockets, and before Flask.

Both trainers wait while the server holds the interpreter's lock, and each change of threads takes longer than an
answer. So polls, which come all the time, go a short way: no worker thread and no Flask, and those that come in within
PAUSE are answered in one go. What this saves is measured by benchmarks/load.py.
"""

import gzip
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

from history.smoothing import WINDOWS

PATH = "/api/metrics"
CURSOR = r"boot=(\w+)&run=([\w-]*)&since=(\d{1,19})"
SMOOTHING = f"smoothing=({'|'.join(map(str, (0, *WINDOWS)))})"
PLAIN_QUERY = re.compile(f"(?:{CURSOR})?(?:(?:^|&){SMOOTHING})?", re.ASCII)  # as our page and README write it
PAUSE = 0.025  # seconds between two batches, so what a poll may have to wait
GZIP_FROM = 20_000  # bytes: more than the news of 2 s; to pack these would cost the trainers more than the network
LAST_ANSWERS = 1.0  # seconds that answers under way have at the end; what trains is saved after them
ONE_WRITE = 16_384  # bytes: the head and the body of a shorter answer leave together


class Polls:
    """WSGI middleware that answers a poll with `news(boot, run, since)`; all other requests go on to the app.

    A poll that says how its curves are to be smoothed adds `smoothing=` images.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], news: Callable[..., dict[str, Any]]) -> None:
        self._app = app
        self._news = news

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        plain = environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] == "GET"
        query = PLAIN_QUERY.fullmatch(environ.get("QUERY_STRING", "")) if plain else None
        if query is None:
            return self._app(environ, start_response)
        boot, run, since, smoothing = query.groups()
        wish = {} if smoothing is None else {"smoothing": int(smoothing)}
        try:
            body = orjson.dumps(self._news(boot, run, None if since is None else int(since), **wish))
        except TypeError:  # text that UTF-8 cannot hold, in an error
            return self._app(environ, start_response)
        body, headers = pack(body, environ.get("HTTP_ACCEPT_ENCODING", ""))
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        start_response("200 OK", list(headers.items()))
        return [body]


def pack(body: bytes, accepted: str, least: int = GZIP_FROM) -> tuple[bytes, dict[str, str]]:
    """Return the body of a JSON answer as it goes out, gzipped from `least` bytes on, and the headers that say so."""
    headers = {"Cache-Control": "no-store"}
    if len(body) < least or "gzip" not in accepted:
        return body, headers
    packed = gzip.compress(body, compresslevel=1)  # 4 % more bytes than level 4, in half the time
    return packed, headers | {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}


class PollsFirst(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Gives tasks to worker threads, except polls: these wait for the thread that reads the sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._polls: deque[HTTPChannel] = deque()

    def add_task(self, task: HTTPChannel) -> None:
        first = task.requests[0]  # a malformed request has no path; two trainings may have to be read from the disk
        if getattr(first, "path", None) == PATH and PLAIN_QUERY.fullmatch(first.query or ""):
            self._polls.append(task)
        else:
            super().add_task(task)

    def answer_polls(self) -> bool:
        """Answer the polls that have come in; return whether there were any.

        Where more is asked for in one go, or an answer is still on its way, there may be a wait until the client
        has read: that is left to a worker.
        """
        count = len(self._polls)
        for _ in range(count):
            channel = self._polls.popleft()
            if len(channel.requests) == 1 and not channel.total_outbufs_len:
                channel.service()
                if channel.connected:
                    wasyncore.write(channel)
            else:
                super().add_task(channel)
        return count > 0


class PollServer:
    """A waitress server that answers polls in batches; `settings` are waitress' own."""

    def __init__(self, app: Callable[..., Iterable[bytes]], *, threads: int, **settings: Any) -> None:
        """Listen. Raises OSError or ValueError where that is not possible."""
        self.sockets: dict[int, Any] = {}
        self._dispatcher = PollsFirst()
        self._dispatcher.set_thread_count(threads)
        self.waitress = create_server(app, self.sockets, _dispatcher=self._dispatcher, **settings)
        self.waitress.adj.send_bytes = ONE_WRITE

    def run(self) -> None:
        """Serve until the sockets are closed or the program is to end."""
        try:
            while self.sockets:
                wasyncore.loop(map=self.sockets, use_poll=True, count=1)  # select() ends at 1024 sockets
                if self._dispatcher.answer_polls():
                    time.sleep(PAUSE)
        except (SystemExit, KeyboardInterrupt):
            self._dispatcher.shutdown(timeout=LAST_ANSWERS)
