"""Inside: layers over the evaluations, and filters of each."""

import base64

import numpy as np
from flask.testing import FlaskClient
from served import SHORT, error_of, finish, predict, strict

from web.inside import as_columns
from web.monitor import Monitor


def test_nothing_seen_is_said_in_empty_lists() -> None:
    assert as_columns([])["layers"] == []


def test_before_a_run_there_is_nothing_to_see_and_no_error(client: FlaskClient) -> None:
    assert strict(client.get("/api/mistakes"))["split"] is None
    assert strict(client.get("/api/classes"))["confusion"] is None
    assert strict(client.get("/api/inside"))["models"]["model1"]["step"] == []
    assert predict(client, pixels=[0] * 784)["models"] == {"model1": None, "model2": None}
    error_of(client.get("/api/filters?model=model1&step=3"), 404, "nothing_there")


def test_filters_of_every_evaluation_can_be_had(client: FlaskClient, monitor: Monitor) -> None:
    run = finish(client, SHORT)
    for name, kernels, side in (("model1", 4, 3), ("model2", 6, 5)):
        steps = strict(client.get("/api/inside"))["models"][name]["step"]
        filters = [strict(client.get(f"/api/filters?run={run}&model={name}&step={step}")) for step in steps]
        assert {(each["shown"], each["side"]) for each in filters} == {(kernels, side)}
        assert len({each["weights"] for each in filters}) == len(steps)
    last = monitor.control.comparison.trainers["model2"].snapshot.weights["layers.conv1.conv.weight"][:, 0].numpy()
    found = np.frombuffer(base64.b64decode(filters[-1]["weights"]), np.int8).reshape(last.shape) / 127
    assert np.abs(found * filters[-1]["scale"] - last).max() < filters[-1]["scale"] / 200
