"""Lineage over HTTP: forks of continued runs, and what went on from what is gone."""

from flask.testing import FlaskClient
from served import QUICK, error_of, finish, strict, wait_until

from web.monitor import Monitor


def test_tree_of_a_fork_of_a_continued_run(client: FlaskClient, monitor: Monitor) -> None:
    old = finish(client, QUICK | {"model2": QUICK["model2"] | {"dropout": 0.1}})
    further = strict(client.post(f"/api/runs/{old}/resume", json={"more_epochs": 1}))["run"]
    wait_until(client, "finished")
    fork = strict(client.post("/api/fork", json={"settings": {"epochs": 4}}))["run"]
    wait_until(client, "finished")
    other = finish(client)
    trees = [strict(client.get(f"/api/lineage?run={run}")) for run in (old, further, fork)]
    assert trees[0] == trees[1] == trees[2]
    runs = trees[0]["runs"]
    assert trees[0]["total"] == 3
    assert [(each["run"], each["kind"], each["parent"]) for each in runs] == [
        (old, None, None),
        (further, "continued", old),
        (fork, "forked", further),
    ]
    assert [each["changes"] for each in runs] == [{"dropout": [0.5, 0.1]}] * 2 + [{"epochs": [2, 4]}]
    listed = {run["id"]: run for run in strict(client.get("/api/runs"))["runs"]}
    for each in runs:
        for model, outcome in each["outcome"].items():
            assert outcome == {name: listed[each["run"]]["models"][model][name] for name in outcome}
            assert outcome["state"] == "finished"
            assert outcome["test_accuracy"] is not None
    assert [each["run"] for each in strict(client.get(f"/api/lineage?run={other}"))["runs"]] == [other]
    assert client.post(f"/api/runs/{further}/delete", json={}).status_code == 200
    cut = strict(client.get(f"/api/lineage?run={fork}"))["runs"]
    assert cut == [{"run": further, "deleted": True}, runs[2]]
    error_of(client.get(f"/api/lineage?run={further}"), 404, "unknown_run")


def test_run_must_be_named(client: FlaskClient) -> None:
    for query, status, code in (("", 400, "bad_request"), ("?run=gone", 404, "unknown_run")):
        error_of(client.get(f"/api/lineage{query}"), status, code)
    assert "run" in error_of(client.get("/api/lineage?run=%C3%A9"), 400, "bad_request")["fields"]
