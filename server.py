"""The web server: a Flask app made of the blueprints in web/, served by waitress in one process.

`python server.py --help` lists the options.
"""

import argparse
import logging
import select
import signal
import sys
from pathlib import Path
from typing import NoReturn

from flask import Flask

from history.store import RunStore, StoreError
from studies.lessons import SHIPPED, InvalidLessons, read_lessons
from web import (
    comparison,
    control,
    disk,
    exports,
    inside,
    lessons,
    lineage,
    metrics,
    mistakes,
    page,
    pictures,
    queue,
    repeats,
    runs,
    trainings,
    tryit,
)
from web.answers import FastJSON, compress
from web.errors import handle_errors
from web.guard import MAX_BODY, Guard, new_token
from web.monitor import Monitor
from web.polls import Polls, PollServer

DEFAULT_PORT = 8080
MOST_WAITING = 2**28  # bytes of answers that a client has yet to take; exports of the longest runs have less
HAS_POLL = hasattr(select, "poll")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SUBJECTS = (
    page,
    control,
    metrics,
    comparison,
    mistakes,
    inside,
    tryit,
    pictures,
    repeats,
    queue,
    runs,
    lineage,
    trainings,
    disk,
    exports,
    lessons,
)


def create_app(monitor: Monitor, host: str = "127.0.0.1", token: str | None = None) -> Flask:
    """Return the app that serves a monitor.

    host: the address it will listen on; token: what its guard asks for where that is not a loopback address.
    """
    app = Flask(__name__, static_folder=None)  # see web/files.py
    app.json = FastJSON(app)
    app.wsgi_app = Guard(Polls(app.wsgi_app, monitor.metrics), host, token)  # type: ignore[method-assign]
    for subject in SUBJECTS:
        app.register_blueprint(subject.blueprint(monitor))
    handle_errors(app)
    app.after_request(compress)
    return app


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare two CNNs while they train on FashionMNIST.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=port_number, default=DEFAULT_PORT, help=f"port (default: {DEFAULT_PORT})")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where FashionMNIST is, or goes")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are saved")
    parser.add_argument("--lessons", type=Path, help="file with lessons of your own (docs/lessons.md)")
    parser.add_argument("--verbose", action="store_true", help="log more")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    options = parse_arguments(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    logging.getLogger("filelock").setLevel(logging.INFO)
    for number in STOP_SIGNALS:  # by hand: a shell starts background jobs deaf to SIGINT
        signal.signal(number, _exit_on_signal)
    try:
        offered = read_lessons(options.lessons, SHIPPED) if options.lessons else SHIPPED
    except InvalidLessons as error:
        return fail("\n".join(f"--lessons: {place}: {fault}" for place, fault in error.fields.items()))
    try:
        store = RunStore(options.runs_dir)
    except StoreError as error:
        return fail(str(error))
    monitor = Monitor(options.data_dir, store, offered)
    try:
        return serve(monitor, options.host, options.port)
    finally:  # the store's thread would keep the process alive
        monitor.close()


def serve(monitor: Monitor, host: str, port: int) -> int:
    """Serve a monitor and load its data until a signal comes; return the exit code."""
    token = new_token(host)
    try:
        server = PollServer(
            create_app(monitor, host, token),
            host=host,
            port=port,
            threads=8,
            max_request_body_size=MAX_BODY,
            connection_limit=1000 if HAS_POLL else 400,  # waitress' 100 could be taken by idle clients
            channel_timeout=60,
            outbuf_high_watermark=MOST_WAITING,  # they wait in a file, and hold no thread
            ident=None,
        )
    except (OSError, ValueError) as error:  # the port is in use, or there is no such host
        return fail(f"Cannot listen on {host}:{port} ({error}): choose another with --port")
    print(address(host, port, token), flush=True)
    monitor.loading.load_in_background()
    server.run()
    return 0


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def address(host: str, port: int, token: str | None) -> str:
    """Return the line that tells where the page is."""
    if token:
        return f"FashionMNIST CNN Training Monitor on http://{host}:{port}/?token={token} (Ctrl-C to stop)"
    return f"FashionMNIST CNN Training Monitor on http://localhost:{port} (Ctrl-C to stop)"


def port_number(text: str) -> int:
    """Return a port from the command line; waitress would take 99999 and listen somewhere else."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 65535, got {text!r}")


def _exit_on_signal(signum: int, frame: object) -> NoReturn:
    for number in STOP_SIGNALS:  # a second one ends the process at once: what is saved by then is whole
        signal.signal(number, signal.SIG_DFL)
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
