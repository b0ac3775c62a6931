"""Bad input: generated bodies and queries for every route, while a run is on and must not notice."""

import json
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from helpers import CPU, as_json, quick, train, wait_for
from histories import history_file, points_in
from hypothesis import given, settings
from hypothesis import strategies as st
from served import metrics_of, start, strict, wait_until

from config import MODEL_NAMES, SCHEMA, ModelConfig
from history.store import RunStore
from server import create_app
from training.images import FashionMNIST
from web.monitor import Monitor

# Half a million steps, so that no machine comes to their end meanwhile.
CONFIGS = {
    name: quick(epochs=500, batch_size=1, seed=seed, learning_rate=0.0005) for seed, name in enumerate(MODEL_NAMES)
}
ROUTES = [
    "GET /",
    "GET /run/<run>",
    "GET /compare",
    "GET /static/<run>",
    "GET /api/config",
    "GET /api/metrics",
    "GET /api/comparison",
    "GET /api/runs",
    "GET /api/runs/<run>",
    "GET /api/runs/<run>/export.csv",
    "GET /api/runs/<run>/export.json",
    "GET /api/export.csv",
    "GET /api/export.json",
    "POST /api/describe",
    "POST /api/start",
    "POST /api/pause",
    "POST /api/resume",
    "POST /api/stop",
    "GET /api/mistakes",
    "GET /api/images.png",
    "GET /api/classes",
    "GET /api/inside",
    "GET /api/filters",
    "GET /api/repeats",
    "POST /api/predict",
    "POST /api/steer",
    "POST /api/fork",
    "POST /api/repeats",
    "POST /api/repeats/stop",
    "POST /api/repeats/continue",
    "GET /api/lessons",
    "POST /api/lessons",
    "GET /api/queue",
    "POST /api/queue",
    "POST /api/queue/go",
    "POST /api/queue/<item>/move",
    "POST /api/queue/<item>/delete",
    "POST /api/runs/<run>/resume",
    "POST /api/runs/<run>/rename",
    "POST /api/runs/<run>/delete",
    "POST /api/runs/<run>/restore",
    "GET /api/trainings",
    "GET /api/trainings.csv",
    "POST /api/trainings/<run>/<model>/note",
    "POST /api/trainings/baseline",
    "GET /api/lineage",
    "GET /api/disk",
    "POST /api/disk/checkpoints",
    "POST /api/disk/rule",
]
EXAMPLES, SOAK_EXAMPLES = 50, 800  # of each route: 2,000 and 32,000 in all


class Place(NamedTuple):
    monitor: Monitor
    client: FlaskClient
    finished: str  # an older run
    run: str  # the one that is on


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_fashion_mnist: FashionMNIST) -> Iterator[Place]:
    """A server in training with one finished run in its history."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("training.images.load_fashion_mnist", lambda data_dir: small_fashion_mnist)
        patched.setattr("train.best_device", lambda: CPU)  # to the bit there alone
        monitor = Monitor(folder / "data", RunStore(folder / "runs"))
        monitor.loading.load()
    try:
        client = create_app(monitor).test_client()
        finished = start(client, {name: quick(batch_size=512).model_dump(mode="json") for name in MODEL_NAMES})
        wait_until(client, "finished")
        run = start(client, as_json(CONFIGS))
        yield Place(monitor, client, finished, run)
    finally:
        monitor.close()


texts = st.text(max_size=30) | st.sampled_from(
    ["", "NaN", "../../etc/passwd", "<script>", "\x00", "\ud800", "model1", "adam", "1e999", "' OR 1=1 --", "x" * 5000]
)
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([-1, 0, 10**9, 10**400, -(10**30), 1e308, 5e-324, 2**53 + 1, True, 0.5])
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
settings_of_a_model = st.dictionaries(st.sampled_from(list(SCHEMA["properties"])) | texts, values, max_size=5)
pictures = st.lists(st.integers(-1, 256), min_size=784, max_size=784) | st.sampled_from(["test", "validation"])
bodies_of_ours = st.dictionaries(
    st.sampled_from(["model1", "model2", "model", "name", "more_epochs", "settings", "run", "runs", "series"])
    | st.sampled_from(["pixels", "split", "image", "layers", "learning_rate", "trainings", "keep", "keep_whole"])
    | texts,
    values | settings_of_a_model | pictures,
    max_size=4,
)
fragments = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', '"model1"', '"epochs"', "NaN", "Infinity", "-", "1e999", "1", "null", "\\ud800"]
)
odd_bytes = (
    st.binary(max_size=200)
    | st.lists(fragments, max_size=20).map(lambda parts: "".join(parts).encode())
    | st.sampled_from(
        [b"[" * 60_000, b'{"model1":' * 9_000, b"9" * 5000, b"\xff\xfe", b"\xef\xbb\xbf{}", b" " * 65_536]
    )
)


def as_bytes(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


bodies = odd_bytes | (bodies_of_ours | settings_of_a_model | values).map(as_bytes)
queries = st.dictionaries(
    st.sampled_from(["boot", "run", "since", "axis", "token", "model", "step", "series", "split", "images", "training"])
    | st.sampled_from(["show", "label", "predicted1", "predicted2", "sort", "page", "a", "b", "among"])
    | st.sampled_from(["order", "search", "state", "after", "before", "limit", "offset", "group", "training", "also"])
    | st.sampled_from(["config.dropout", "config.kernels", "config.kernel_sizes", "config.seed", "config.x", "config."])
    | texts,
    texts
    | numbers.map(str)
    | st.sampled_from(["gone/model1", "FINISHED/model1", "CURRENT/model2", "CURRENT/model3"])
    | st.sampled_from(["all", "only1", "unsure", "test", "validation", "model1", "1,2,3"])
    | st.sampled_from(["asc", "seed", "finished,stopped", "2026-02-30", "9999-12-31", "note", "config.seed", "9" * 19]),
    max_size=4,
)
ENCODED = ["..%2f..%2fhistory.sqlite", "%00", "%ff", "%2e%2e", "%"]  # sent as they are
names = texts | st.sampled_from(["FINISHED", "CURRENT", "main.js", ".", *ENCODED])
types = st.sampled_from(["application/json"] * 6 + ["text/plain", "", "application/json; charset=utf-16"])


def snapshot(place: Place) -> Any:
    """Return what no refused request may change."""
    monitor = place.monitor
    with history_file(monitor.store.directory) as database:
        runs = database.execute("SELECT id, name, deleted FROM runs ORDER BY id").fetchall()
        configs = database.execute("SELECT run, model, config FROM models ORDER BY run").fetchall()
    trainers = monitor.control.comparison.trainers
    states = {name: trainer.state for name, trainer in trainers.items()}
    checkpoint = monitor.store.told(place.finished, "model1")
    return monitor.run, monitor.loading.status, id(monitor.control.comparison), states, runs, configs, checkpoint


def trainers_alive() -> int:
    return sum(thread.name in MODEL_NAMES for thread in threading.enumerate())


def send(place: Place, route: str, name: str, query: dict[str, str], body: bytes, content_type: str) -> None:
    method, path = route.split(" ")
    named = {"FINISHED": place.finished, "CURRENT": place.monitor.run}.get(name) or name
    quoted = named if named in ENCODED else quote(named, safe="", errors="replace")
    path = path.replace("<run>", quoted).replace("<item>", quoted).replace("<model>", quoted)
    query = {
        key: value.replace("FINISHED", place.finished).replace("CURRENT", str(place.monitor.run))
        for key, value in query.items()
    }
    query = {
        key.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for key, value in query.items()
    }
    if route.rsplit("/", 1)[1] in ("pause", "stop") and "<run>" not in route and is_command(body):
        body = b'{"model": "model3"}'  # these would be obeyed, and rightly
    if route in ("POST /api/steer", "POST /api/fork") and names_only_ours(body):
        body = b'{"model": "model1"}'  # so might these
    before = snapshot(place)
    response = place.client.open(
        path, method=method, query_string=query, data=body if method == "POST" else None, content_type=content_type
    )
    status = response.status_code
    assert status < 500, (status, route, path, query, body[:200])
    if status >= 400:
        assert snapshot(place) == before, (status, route, path, body[:200])
        error = strict(response)["error"]
        assert error["code"]
        assert error["message"]
        assert len(response.data) < 20_000
    elif response.mimetype == "application/json":
        strict(response)
    response.close()  # a file, maybe
    if route.endswith("delete") and status == 200:
        assert place.client.post(f"/api/runs/{place.finished}/restore", json={}).status_code == 200


def is_command(body: bytes) -> bool:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return False
    return given == {} or (
        isinstance(given, dict) and set(given) == {"model"} and given["model"] in (*MODEL_NAMES, None)
    )


def names_only_ours(body: bytes) -> bool:
    try:
        given = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return False
    return isinstance(given, dict) and set(given) <= {"model", "learning_rate", "settings"}


@pytest.mark.parametrize("route", ROUTES)
@given(names, queries, bodies, types)
@settings(max_examples=EXAMPLES)
def test_no_input_breaks_the_server_or_changes_what_it_was_refused(
    place: Place, route: str, name: str, query: dict[str, str], body: bytes, content_type: str
) -> None:
    send(place, route, name, query, body, content_type)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("route", ROUTES)
@given(names, queries, bodies, types)
@settings(max_examples=SOAK_EXAMPLES, derandomize=False)
def test_much_more_input(
    place: Place, route: str, name: str, query: dict[str, str], body: bytes, content_type: str
) -> None:
    send(place, route, name, query, body, content_type)


@given(st.dictionaries(st.sampled_from(list(SCHEMA["properties"])), values, max_size=4))
@settings(max_examples=EXAMPLES)
def test_settings_are_either_refused_or_mean_what_was_given(place: Place, given_: dict[str, Any]) -> None:
    response = place.client.post("/api/describe", data=as_bytes(given_), content_type="application/json")
    if response.status_code == 200:
        config = ModelConfig.model_validate_json(as_bytes(given_)).model_dump(mode="json")
        assert {field: config[field] for field in given_} == given_
    else:
        assert response.status_code == 400


FILES = {
    "/favicon.ico",
    "/vendor/plotly.min.js",
    "/vendor/<version>/plotly.min.js",
    "/static/<path:filename>",
}


def test_list_of_routes_above_is_complete(place: Place) -> None:
    app = place.client.application
    listed = {route.split(" ")[1] for route in ROUTES}
    rules = {rule.rule for rule in app.url_map.iter_rules()} - FILES
    commands = {rule for rule in rules if rule.startswith("/api/<any(")}
    assert len(commands) == 1
    assert rules - commands <= listed


def test_training_beside_all_this_was_not_disturbed(place: Place, small_fashion_mnist: FashionMNIST) -> None:
    """Comes last: by now thousands of requests have come in."""
    assert metrics_of(place.client)["run"] == place.run
    assert trainers_alive() == 2
    step = metrics_of(place.client)["models"]["model1"]["step"]
    wait_for(lambda: metrics_of(place.client)["models"]["model1"]["step"] > step, "training")
    expected = train(
        small_fashion_mnist, **{name: config.model_copy(update={"epochs": 1}) for name, config in CONFIGS.items()}
    )
    place.monitor.store.save()
    for name in MODEL_NAMES:
        with history_file(place.monitor.store.directory) as database:
            losses = [loss for *_, loss, _ in points_in(database, name, place.run)]
        wanted = expected.losses(name)
        assert len(losses) > 10
        assert losses[: len(wanted)] == wanted[: len(losses)]
