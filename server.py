"""The web server: Flask routes over a Monitor, served by waitress in one process.

`python server.py --help` lists the options.
"""

import argparse
import logging
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from flask import Flask, Response, render_template, request, send_from_directory
from werkzeug.exceptions import HTTPException

from analysis.measures import AXES
from analysis.mistakes import SHOWS, SORTS, Filter
from config import DEFAULTS, MODEL_NAMES, SCHEMA, InvalidSettings, parse_config, say
from data import CLASSES
from exports import runs as export
from history.records import SPLITS
from history.smoothing import WINDOWS
from history.store import NotSaved, RunStore, StoreError, UnknownRun
from studies.branches import MAX_EPOCHS, BadFork, TooManyEpochs
from studies.control import COMMANDS, Conflict, NotReady
from studies.plan import FEWEST, MOST, NothingToRepeat
from studies.presets import PRESETS
from web.answers import ONE_DAY, FastJSON, error_body, plotly_directory
from web.guard import MAX_BODY, Guard
from web.inside import NothingThere
from web.monitor import Monitor
from web.pictures import MOST as MOST_PICTURES
from web.polls import Polls, PollServer, pack
from web.requests import (
    MAX_NAME,
    BadRequest,
    choice,
    identifier,
    is_title,
    is_whole,
    parse_both,
    picture_of,
    query_number,
    read_json,
    read_object,
    smoothing_asked_for,
    whole_number,
)

DEFAULT_PORT = 8080
HAS_POLL = hasattr(select, "poll")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def create_app(monitor: Monitor, host: str = "127.0.0.1") -> Flask:
    """Return the app that serves a monitor; `host` is the address it will listen on."""
    app = Flask(__name__)
    app.json = FastJSON(app)
    app.wsgi_app = Guard(Polls(app.wsgi_app, monitor.metrics), host)  # type: ignore[method-assign]
    plotly = plotly_directory()

    @app.get("/")
    def page() -> str:
        return render_template(
            "monitor.html",
            schema=SCHEMA,
            defaults=DEFAULTS.model_dump(mode="json"),
            presets=[preset.model_dump(mode="json") for preset in PRESETS],
            model_names=MODEL_NAMES,
            smoothing=(0, *WINDOWS),
        )

    @app.get("/vendor/plotly.min.js")
    def plotly_script() -> Response:
        return send_from_directory(plotly, "plotly.min.js", max_age=ONE_DAY)

    @app.get("/api/config")
    def config() -> dict[str, Any]:
        return monitor.config()

    @app.post("/api/describe")
    def describe() -> dict[str, Any]:
        return monitor.describe(parse_config(read_json(), "config"))

    @app.post("/api/start")
    def start() -> tuple[dict[str, Any], int]:
        return {"run": monitor.start(parse_both(read_object(MODEL_NAMES)))}, 202

    @app.post("/api/<any({}):command>".format(", ".join(COMMANDS)))
    def command(command: str) -> dict[str, Any]:
        model = read_object(("model",), optional=True).get("model")
        monitor.command(command, None if model is None else choice("model", model, MODEL_NAMES))
        return {"run": monitor.run}

    @app.post("/api/steer")
    def steer() -> dict[str, Any]:
        given = read_object(("model", "learning_rate"))
        model = choice("model", given.get("model"), MODEL_NAMES)
        rate = parse_config({"learning_rate": given.get("learning_rate")}, model).learning_rate
        monitor.steer(model, rate)
        return {"run": monitor.run, "model": model, "learning_rate": rate}

    @app.post("/api/fork")
    def fork() -> tuple[dict[str, Any], int]:
        settings = read_object(("settings",)).get("settings")
        if not isinstance(settings, dict):
            raise BadRequest("No settings", {"settings": f"settings must be an object, got {say(settings)}"})
        return {"run": monitor.fork(settings)}, 202

    @app.post("/api/repeats")
    def repeat() -> tuple[dict[str, Any], int]:
        given = read_object(("runs", *MODEL_NAMES))
        pairs = whole_number("runs", given.get("runs"), FEWEST, MOST)
        return {"series": monitor.repeat(parse_both(given), pairs)}, 202

    @app.get("/api/repeats")
    def repeats() -> dict[str, Any]:
        return monitor.repeats(request.args.get("series") or None)

    @app.post("/api/repeats/stop")
    def stop_repeats() -> dict[str, Any]:
        read_object((), optional=True)
        monitor.stop_repeats()
        return {"run": monitor.run}

    @app.post("/api/repeats/continue")
    def continue_repeats() -> tuple[dict[str, Any], int]:
        series = identifier("series", read_object(("series",)).get("series"))
        monitor.continue_repeats(series)
        return {"series": series}, 202

    @app.get("/api/mistakes")
    def mistakes() -> dict[str, Any]:
        wanted = Filter(
            choice("show", request.args.get("show", SHOWS[0]), SHOWS),
            query_number("label", CLASSES - 1),
            query_number("predicted1", CLASSES - 1),
            query_number("predicted2", CLASSES - 1),
            choice("sort", request.args.get("sort", SORTS[0]), SORTS),
            query_number("page", 10_000) or 0,
        )
        return monitor.inside.mistakes(run_asked_for(), wanted)

    @app.get("/api/images.png")
    def images() -> Response:
        split = choice("split", request.args.get("split"), SPLITS)
        numbers = request.args.get("images", "").split(",")
        if len(numbers) > MOST_PICTURES or not all(is_whole(number) for number in numbers):
            expected = f"images must be 1 to {MOST_PICTURES} whole numbers with commas between them"
            raise BadRequest("Bad images", {"images": f"{expected}, got {say(','.join(numbers))}"})
        picture = monitor.inside.images(split, [int(number) for number in numbers])
        response = Response(picture, mimetype="image/png")
        response.headers["Cache-Control"] = f"private, max-age={ONE_DAY}"
        return response

    @app.get("/api/classes")
    def classes() -> dict[str, Any]:
        return monitor.inside.classes(run_asked_for())

    @app.get("/api/inside")
    def inside() -> dict[str, Any]:
        return monitor.inside.layers(run_asked_for())

    @app.get("/api/filters")
    def filters() -> dict[str, Any]:
        model = choice("model", request.args.get("model"), MODEL_NAMES)
        return monitor.inside.filters(run_asked_for(), model, query_number("step", 10**12) or 0)

    @app.post("/api/predict")
    def predict() -> dict[str, Any]:
        given = read_object(("run", "pixels", "split", "image", "layers"))
        run = identifier("run", given["run"]) if "run" in given else monitor.run
        layers = given.get("layers", False)
        if not isinstance(layers, bool):
            raise BadRequest("Bad layers", {"layers": f"layers must be true or false, got {say(layers)}"})
        return monitor.inside.predict(run, picture_of(given), layers)

    @app.get("/api/metrics")
    def metrics() -> dict[str, Any]:
        """Answer a poll whose query is not as Polls expects it, or say what is wrong with it."""
        since = request.args.get("since")
        if since is not None and not is_whole(since):
            raise BadRequest("Bad cursor", {"since": f"since must be a whole number, got {since[:80]!a}"})
        cursor = request.args.get("boot"), request.args.get("run"), int(since) if since else None
        return monitor.metrics(*cursor, smoothing_asked_for())

    @app.get("/api/comparison")
    def comparison() -> dict[str, Any]:
        axis = choice("axis", request.args.get("axis", AXES[0]), AXES)
        return monitor.comparison(axis, request.args.get("run") or None)

    @app.get("/api/runs")
    def runs() -> dict[str, Any]:
        """List the runs, and those that can be restored, where there are any."""
        deleted = monitor.store.runs(deleted=True)
        listed = {"runs": monitor.store.runs()} | ({"deleted": deleted} if deleted else {})
        return {
            key: [run | {"file": export.file_stem(run["id"], run["name"])} for run in runs]
            for key, runs in listed.items()
        }

    @app.get("/api/runs/<run>")
    def one_run(run: str) -> dict[str, Any]:
        return monitor.one_run(run, smoothing_asked_for())

    @app.get("/api/runs/<run>/export.csv", defaults={"ending": "csv"})
    @app.get("/api/runs/<run>/export.json", defaults={"ending": "json"})
    def export_run(run: str, ending: str) -> Response:
        write, kind = {"csv": (export.as_csv, "text/csv"), "json": (export.as_json, "application/json")}[ending]
        response = Response(write(monitor.store, run), mimetype=kind)
        name = f"{export.file_stem(run, monitor.store.about(run)['name'])}.{ending}"
        response.headers.set("Content-Disposition", "attachment", filename=name)
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.post("/api/runs/<run>/resume")
    def resume_run(run: str) -> tuple[dict[str, Any], int]:
        more_epochs = whole_number("more_epochs", read_object(("more_epochs",)).get("more_epochs", 0), 0, MAX_EPOCHS)
        return {"run": monitor.resume_run(run, more_epochs)}, 202

    @app.post("/api/runs/<run>/rename")
    def rename_run(run: str) -> dict[str, Any]:
        name = read_object(("name",)).get("name")
        if not isinstance(name, str) or not is_title(name):
            expected = f"name must be 1 to {MAX_NAME} characters without control characters, got {say(name)}"
            raise BadRequest("A name that cannot be used", {"name": expected})
        monitor.store.rename(run, name)
        return {"run": run, "name": name}

    @app.post("/api/runs/<run>/delete")
    def delete_run(run: str) -> dict[str, Any]:
        read_object((), optional=True)
        monitor.delete_run(run)
        return {"run": run}

    @app.post("/api/runs/<run>/restore")
    def restore_run(run: str) -> dict[str, Any]:
        read_object((), optional=True)
        monitor.store.restore(run)
        return {"run": run}

    @app.errorhandler(InvalidSettings)
    def invalid_settings(error: InvalidSettings) -> tuple[dict[str, Any], int]:
        count = len(error.fields)
        return error_body("invalid_settings", f"{count} setting{'s' * (count > 1)} cannot be used", error.fields), 400

    @app.errorhandler(BadRequest)
    def bad_request(error: BadRequest) -> tuple[dict[str, Any], int]:
        return error_body("bad_request", str(error), error.fields), 400

    @app.errorhandler(TooManyEpochs)
    def too_many_epochs(error: TooManyEpochs) -> tuple[dict[str, Any], int]:
        return error_body("bad_request", str(error), {"more_epochs": str(error)}), 400

    @app.errorhandler(NothingToRepeat)
    def nothing_to_repeat(error: NothingToRepeat) -> tuple[dict[str, Any], int]:
        return error_body("bad_request", str(error), error.fields), 400

    @app.errorhandler(BadFork)
    def bad_fork(error: BadFork) -> tuple[dict[str, Any], int]:
        return error_body("bad_request", str(error), error.fields), 400

    @app.errorhandler(NothingThere)
    def nothing_there(error: NothingThere) -> tuple[dict[str, Any], int]:
        return error_body("nothing_there", str(error.args[0])), 404

    @app.errorhandler(NotSaved)
    def not_saved(error: NotSaved) -> tuple[dict[str, Any], int]:
        return error_body("not_saved", str(error)), 503

    @app.errorhandler(NotReady)
    def not_ready(error: NotReady) -> tuple[dict[str, Any], int]:
        return error_body("not_ready", str(error)), 503

    @app.errorhandler(Conflict)
    def conflict(error: Conflict) -> tuple[dict[str, Any], int]:
        return error_body("conflict", str(error)), 409

    @app.errorhandler(UnknownRun)
    def unknown_run(error: UnknownRun) -> tuple[dict[str, Any], int]:
        return error_body("unknown_run", "There is no such run in the history"), 404

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[dict[str, Any], int, dict[str, str]]:
        code = error.name.lower().replace(" ", "_")
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return error_body(code, error.description or error.name), error.code or 500, headers

    @app.after_request
    def compress(response: Response) -> Response:
        if response.mimetype == "application/json" and not response.is_streamed:
            body, headers = pack(response.get_data(), request.headers.get("Accept-Encoding", ""))
            response.set_data(body)
            response.headers.update(headers)
        return response

    def run_asked_for() -> str | None:
        return request.args.get("run") or monitor.run

    return app


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare two CNNs while they train on FashionMNIST.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=port_number, default=DEFAULT_PORT, help=f"port (default: {DEFAULT_PORT})")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="where FashionMNIST is, or goes")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are saved")
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
        store = RunStore(options.runs_dir)
    except StoreError as error:
        return fail(str(error))
    monitor = Monitor(options.data_dir, store)
    try:
        return serve(monitor, options.host, options.port)
    finally:  # the store's thread would keep the process alive
        monitor.close()


def serve(monitor: Monitor, host: str, port: int) -> int:
    """Serve a monitor and load its data until a signal comes; return the exit code."""
    app = create_app(monitor, host)
    try:
        server = PollServer(
            app,
            host=host,
            port=port,
            threads=8,
            max_request_body_size=MAX_BODY,
            connection_limit=1000 if HAS_POLL else 400,  # waitress' 100 could be taken by idle clients
            channel_timeout=60,
            ident=None,
        )
    except (OSError, ValueError) as error:  # a port in use; a host that is none
        return fail(f"Cannot listen on {host}:{port} ({error}): choose another with --port")
    print(address(app.wsgi_app, host, port), flush=True)  # type: ignore[arg-type]
    threading.Thread(target=monitor.load, name="loader", daemon=True).start()
    server.run()
    return 0


def fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def address(guard: Guard, host: str, port: int) -> str:
    """Return the line that tells where the page is."""
    if guard.token:
        return f"FashionMNIST CNN Training Monitor on http://{host}:{port}/?token={guard.token} (Ctrl-C to stop)"
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
