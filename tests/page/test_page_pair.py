"""Any two trainings on the page: chosen from the history, at an address of their own, and drawn live where one trains."""

import csv
import json
import re
from collections.abc import Iterator

import pytest
from browser import (
    Faults,
    Server,
    ask,
    badges,
    check_with_axe,
    choose,
    fresh_page,
    is_wider_than_screen,
    latest,
    open_from_history,
    saved,
    set_quick_models,
    show_settings,
    start,
    states,
    stop_training,
    tell,
    train_beside,
    wait_for,
)
from drawn import DROPOUT, OPTIMIZER, look
from playwright.sync_api import BrowserContext, Page, expect

A, B = f"{DROPOUT}/model2", f"{OPTIMIZER}/model1"
TITLES = "● A, model 2 of Dropout 0.5 → 0.2 with ◆ B, model 1 of adam 0.001 → sgd 0.01"
ENDS = "data.filter(({uid}) => /^model.-validation-loss$/.test(uid)).map(({x}) => x.at(-1))"


@pytest.fixture
def past(recorded_context: BrowserContext, recorded: Server, faults: Faults) -> Iterator[Page]:
    """A page of a server with three recorded runs, none of which it has trained itself."""
    with fresh_page(recorded_context, recorded.url, faults) as page:
        yield page


def address(a: str, b: str, more: str = "") -> str:
    return f"/compare?a={a}&b={b}{more}"


def shows(page: Page, a: str, b: str, more: str = "") -> None:
    """Expect the page to be at the address of two trainings, and to draw them."""
    page.wait_for_selector(f"#chart[data-drawn='{address(a, b, more)}']")
    expect(page).to_have_url(re.compile(re.escape(address(a, b, more)) + "(#.*)?$"))


def pick(page: Page, training: str) -> None:
    page.locator(f"#runs tr[data-training='{training}']").get_by_role("checkbox").check()


def test_two_trainings_are_chosen_from_the_history_and_every_part_is_of_them(past: Page) -> None:
    past.goto(f"/run/{OPTIMIZER}")
    past.click("#tab-history")
    pick(past, A)
    compare = past.get_by_role("button", name="Compare these two")
    expect(compare).to_be_disabled()
    pick(past, B)
    expect(past.locator("#chosen")).to_contain_text(
        "A: model 2 of Dropout 0.5 → 0.2 · B: model 1 of adam 0.001 → sgd 0.01"
    )
    compare.click()
    shows(past, A, B)
    expect(past.locator("#past")).to_contain_text(
        re.compile("Comparing ● A, model 2 of Dropout.* with ◆ B, model 1 of adam")
    )
    expect(past.locator("#past")).to_contain_text("They are of different runs")
    expect(past.locator("#go-on")).to_be_hidden()
    expect(past).to_have_title(re.compile(rf"^{re.escape(TITLES)} · finished"))
    runs = {run: ask(past, f"runs/{run}")["models"] for run in (DROPOUT, OPTIMIZER)}
    one, two = runs[DROPOUT]["model2"], runs[OPTIMIZER]["model1"]
    for slot, model in (("model1", one), ("model2", two)):
        expect(past.locator(f"#{slot} [data-figure='step']")).to_have_text(
            f"{model['step']:,} / {model['total_steps']:,}"
        )
    assert look(past, ENDS) == [one["evaluations"]["epoch"][-1], two["evaluations"]["epoch"][-1]]
    show_settings(past)
    expect(past.locator("[name='model1.dropout']")).to_have_value("0.2")
    expect(past.locator("[name='model2.epochs']")).to_have_value("5")
    expect(past.locator("[data-verdict='second']")).to_contain_text("They are of different runs.")
    past.click("#tab-comparison")
    unit = past.locator("[data-figure-row='training_time'] .unit")
    expect(unit).to_have_text("s, different runs: not compared")
    expect(past.locator("[data-figure-row='training_time'] .better")).to_have_count(0)
    past.get_by_role("button", name="Close").click()
    expect(past).to_have_url(re.compile(r":\d+/$"))
    expect(past.locator("#empty")).to_be_visible()


def test_the_address_opens_the_same_in_a_fresh_window_and_back_and_forward_lead_through(past: Page) -> None:
    past.goto(address(A, B, "&among=40"))
    shows(past, A, B, "&among=40")
    expect(past.locator("[data-verdict='second']")).to_contain_text("Chosen among 40 trainings")
    past.reload()
    shows(past, A, B, "&among=40")
    past.click("#tab-history")
    open_from_history(past, OPTIMIZER)
    expect(past).to_have_url(re.compile(f"/run/{OPTIMIZER}$"))
    expect(past.locator("#past")).to_contain_text("A past run")
    past.go_back()
    shows(past, A, B, "&among=40")
    expect(past.locator("[data-verdict='second']")).to_contain_text("Chosen among 40 trainings")
    past.go_forward()
    expect(past.locator("#past")).to_contain_text("A past run")
    past.goto(address(f"{OPTIMIZER}/model2", B))
    shows(past, f"{OPTIMIZER}/model2", B)
    expect(past.locator("#past")).not_to_contain_text("different runs")
    check_with_axe(past)


def test_seconds_of_different_runs_have_no_winner_in_verdict_and_figure(past: Page) -> None:
    past.goto(address(A, B))
    shows(past, A, B)
    gap = "data.find(({uid}) => uid === 'gap').x.filter((x) => x !== null).length"
    assert look(past, gap) > 0
    choose(past, "axis", "seconds")
    expect(past.locator("[data-verdict='first']")).to_have_text(
        "No comparison at equal seconds: these trainings are of different runs."
    )
    expect(past.locator("[data-verdict='interval']")).to_contain_text("different runs: not compared")
    expect(past.locator("#verdict")).to_have_attribute("data-leader", "")
    choose(past, "x", "seconds")
    past.wait_for_function(
        "() => document.querySelector('#chart').layout.xaxis.title.text === 'training time (s), of different runs'"
    )
    assert look(past, gap) == 0


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (f"?a={A}", "b must be the address of a training, <run>/<model>, got"),
        (f"?a={A}&b={A}", f'b must be another training than a, got "{A}" for both'),
        (f"?a={A}&b=gone/model1", "There is no such run in the history"),
        (f"?a={A}&b={B}&among=1", "among must be a whole number from 2 to 100000, got 1"),
        (f"?a={A}&b={B}&among=4%200", 'among must be a whole number from 2 to 100000, got "4 0"'),
    ],
)
def test_an_address_of_no_two_trainings_says_why_and_shows_what_is(
    past: Page, faults: Faults, query: str, said: str
) -> None:
    faults.expected = re.compile("400|404")
    past.goto(f"/compare{query}")
    expect(past.locator("#problem")).to_contain_text(f"What this address names cannot be opened: {said}")
    expect(past).to_have_url(re.compile(r":\d+/$"))
    expect(past.locator("#start")).to_be_enabled()


def test_exports_are_of_the_two(past: Page) -> None:
    past.goto(address(A, B))
    shows(past, A, B)
    stem = f"fashionmnist-{A.replace('/', '-')}-{B.replace('/', '-')}"
    name, content = saved(past, "csv")
    assert name == f"{stem}.csv"
    rows = list(csv.DictReader(content.decode().splitlines()))
    assert {(row["model"], row["training"]) for row in rows} == {("model1", A), ("model2", B)}
    name, content = saved(past, "json")
    assert name == f"{stem}.json"
    assert json.loads(content)["trainings"]["model2"]["run"] == OPTIMIZER
    name, content = saved(past, "png")
    assert (name, content[:4]) == (f"{stem}.png", b"\x89PNG")


def test_two_trainings_fit_a_phone(past: Page) -> None:
    past.set_viewport_size({"width": 390, "height": 844})
    past.goto(address(A, B))
    shows(past, A, B)
    past.click("#tab-history")
    pick(past, A)
    expect(past.locator("#chosen")).to_be_visible()
    assert not is_wider_than_screen(past)


def test_tabs_answer_about_the_two(finished: Page, run_to_look_at: dict[str, str]) -> None:
    run = run_to_look_at["id"]
    asked: list[str] = []
    finished.on("request", lambda request: asked.append(request.url))
    finished.goto(address(f"{run}/model2", f"{run}/model1"))
    shows(finished, f"{run}/model2", f"{run}/model1")
    mirrored = ask(finished, f"comparison?run={run}")["significance"]
    finished.locator("#significance [data-found='only1']").click()
    count = finished.locator("[data-count='only1']")
    expect(count).to_have_text(f"{mirrored['only2']:,}")
    for tab in ("classes", "inside", "tryit"):
        finished.click(f"#tab-{tab}")
        finished.locator(f"#panel-{tab}").scroll_into_view_if_needed()
    finished.locator("#picks button").first.click()
    expect(finished.locator("#tryit-about")).to_contain_text("Model 2 says")
    expect(finished.locator("#classes-about")).to_contain_text("test images")
    pair = f"a={run}%2Fmodel2&b={run}%2Fmodel1"
    for route in ("mistakes", "classes", "inside", "filters", "predict", "comparison", "metrics"):
        of_pair = [url for url in asked if f"/api/{route}?" in url and pair in url]
        assert of_pair, route
    assert not [
        url for url in asked if re.search(r"/api/(mistakes|classes|inside|filters|predict)\b", url) and pair not in url
    ]


def test_a_training_that_goes_on_is_drawn_live_beside_one_that_has_ended(
    finished: Page, run_to_look_at: dict[str, str]
) -> None:
    old = f"{run_to_look_at['id']}/model1"
    run = train_beside(finished)
    finished.goto(address(old, f"{run}/model2"))
    shows(finished, old, f"{run}/model2")
    badge, step = (finished.locator(f"#model2 {part}") for part in (".badge", "[data-figure='step']"))
    expect(badge).to_have_text("running")
    expect(finished.locator("#model1 .badge")).to_have_text("finished")
    expect(finished.locator("#state")).to_have_text("Training")
    for model in ("model1", "model2"):
        expect(finished.locator(f"#{model} .model-buttons")).to_be_hidden()
        expect(finished.locator(f"#{model} .steer")).to_be_hidden()
    end = "data.find(({uid}) => uid === 'model2-loss').x.at(-1)"
    for _ in range(2):
        before, drawn = step.text_content(), look(finished, end)
        expect(step).not_to_have_text(before or "")
        finished.wait_for_function(f"(drawn) => document.querySelector('#chart').{end} > drawn", arg=drawn)
    stop_training(finished)
    expect(badge).to_have_text("stopped")
    assert states(finished) == ["stopped", "stopped"]
    finished.get_by_role("button", name="Back to the latest run").click()
    expect(finished).to_have_url(re.compile(f"/run/{run}$"))
    badges(finished, "stopped")


def test_of_weights_that_are_missing_each_training_says_its_own_reason(
    finished: Page, run_to_look_at: dict[str, str]
) -> None:
    old = f"{run_to_look_at['id']}/model1"
    run = train_beside(finished)
    nothing = {"label": 0, "models": {"model1": None, "model2": None}}
    finished.route("**/api/predict*", lambda route: route.fulfill(json=nothing))
    finished.goto(address(old, f"{run}/model2"))
    shows(finished, old, f"{run}/model2")
    finished.click("#tab-tryit")
    finished.locator("#picks button").first.click()
    expect(finished.locator("#tryit-about")).to_contain_text(
        "Model 1 was not kept when this run ended. Model 2 answers after its first evaluation"
    )
    stop_training(finished)
    finished.unroute("**/api/predict*")


def test_a_pair_that_trains_is_closed_when_the_other_run_is_deleted_elsewhere(
    finished: Page, faults: Faults, run_to_look_at: dict[str, str]
) -> None:
    faults.expected = re.compile("404")
    old = run_to_look_at["id"]
    run = train_beside(finished)
    finished.goto(address(f"{old}/model1", f"{run}/model2"))
    shows(finished, f"{old}/model1", f"{run}/model2")
    tell(finished, f"runs/{old}/delete", {})
    try:
        expect(finished.locator("#past")).to_be_hidden()
        expect(finished).to_have_url(re.compile(f"/run/{run}$"))
    finally:
        tell(finished, f"runs/{old}/restore", {})
        stop_training(finished)


def test_what_was_typed_stays_and_a_run_that_is_started_takes_their_place(
    finished: Page, run_to_look_at: dict[str, str]
) -> None:
    run = run_to_look_at["id"]
    finished.goto(address(f"{run}/model2", f"{run}/model1"))
    shows(finished, f"{run}/model2", f"{run}/model1")
    show_settings(finished)
    kernels = finished.locator("[name='model1.kernels.1']")
    expect(kernels).to_have_value("8")
    finished.get_by_role("button", name="Back to the latest run").click()
    expect(kernels).to_have_value("4")
    finished.go_back()
    shows(finished, f"{run}/model2", f"{run}/model1")
    set_quick_models(finished)
    start(finished)
    expect(finished.locator("#past")).to_be_hidden()
    wait_for(lambda: latest(finished) != run, "new run")
    badges(finished, "running")


def test_results_that_are_to_be_guessed_first_are_not_shown_through_a_pair(past: Page) -> None:
    past.goto(f"/run/{DROPOUT}")
    past.evaluate(f"localStorage.setItem('guesses', JSON.stringify({{'{OPTIMIZER}': ''}}))")
    past.goto(address(A, B))
    expect(past.locator("#problem")).to_have_text(
        "What this address names cannot be opened: a run of theirs waits for your guess."
    )
    expect(past.locator("#past")).to_be_hidden()
