"""Theme, keys, title, link, small screens, paper, and a server that is gone."""

import re
from pathlib import Path

import pytest
from browser import (
    COUNT_POINTS,
    DIVERGING,
    SMALL,
    Faults,
    Launch,
    Server,
    ask,
    badges,
    check_with_axe,
    fresh_page,
    is_wider_than_screen,
    lines,
    set_quick_models,
    show_settings,
    start,
    stop_training,
    train_to_the_end,
    wait_for,
)
from playwright.sync_api import Page, Route, expect

from config import MODEL_NAMES


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_follows_the_system_until_one_is_chosen_and_remembered(page: Page, theme: str) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    by_system = page.evaluate(ground)
    page.emulate_media(color_scheme="light" if theme == "dark" else "dark")
    assert page.evaluate(ground) != by_system
    page.locator(f"[name='theme'][value='{theme}']").check()
    assert page.evaluate(ground) == by_system
    page.reload()
    expect(page.locator(f"[name='theme'][value='{theme}']")).to_be_checked()
    assert page.evaluate(ground) == by_system


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scroll(page: Page, theme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    show_settings(page)
    for summary in page.locator(".advanced summary").all():
        if not summary.evaluate("summary => summary.parentElement.open"):
            summary.click()
    assert not is_wider_than_screen(page)
    set_quick_models(page)
    start(page)
    top = page.locator("#chart").bounding_box()["y"]  # type: ignore[index]
    assert top < 500  # the figure is in sight, and so it is drawn on
    page.wait_for_function(COUNT_POINTS, arg=2)
    expect(page.locator("[data-verdict='first']")).to_contain_text("so far")
    expect(page.locator("[data-verdict='second']")).not_to_be_empty()
    assert page.locator("#chart").bounding_box()["y"] == top  # type: ignore[index]
    assert not is_wider_than_screen(page)


def test_the_page_says_when_the_server_is_gone_and_loses_no_points(page: Page, server: Server, faults: Faults) -> None:
    faults.expected = re.compile("ERR_FAILED|ERR_CONNECTION|ERR_EMPTY|503")
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=20)
    before = page.locator("#chart").bounding_box()
    page.route("**/api/*", lambda route: route.abort())
    expect(page.locator("#banner")).to_contain_text("Lost touch with the server")
    expect(page.locator("#connection")).to_have_text("no connection")
    assert page.locator("#chart").bounding_box() == before
    page.unroute_all(behavior="wait")
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#banner")).to_be_hidden()
    stop_training(page)
    badges(page, "stopped")
    wanted = len(ask(page, "metrics")["models"]["model1"]["points"]["step"])
    wait_for(lambda: len(lines(page)["model1-raw-loss"]["x"]) >= min(wanted, 900), "all points to be drawn")

    server.stop()
    try:
        expect(page.locator("#banner")).to_contain_text("Lost touch with the server")
    finally:
        server.start()
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#start")).to_be_enabled()


def test_nothing_starts_while_the_server_still_loads(blank: Page) -> None:
    def loading(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"status": "loading", "device": None})

    blank.route("**/api/config", loading)
    blank.goto("/")
    expect(blank.locator("#state")).to_have_text("Loading PyTorch and the dataset…")
    expect(blank.locator("#start")).to_be_disabled()
    blank.unroute_all(behavior="wait")
    expect(blank.locator("#start")).to_be_enabled()
    expect(blank.locator("#device")).to_contain_text(re.compile("core|GPU|NVIDIA"))


# The address


def test_a_link_opens_the_page_with_both_forms_filled(page: Page) -> None:
    show_settings(page)
    page.select_option("#preset", label="Optimizer Impact")
    page.locator("[name='model1.batch_norm']").evaluate("box => box.click()")
    assert page.url.endswith("#model1.batch_norm=true&model2.optimizer=sgd&model2.learning_rate=0.01")
    page.reload()
    expect(page.locator("[name='model1.batch_norm']")).to_be_checked()
    expect(page.locator("[name='model2.learning_rate']")).to_have_value("0.01")
    expect(page.locator("#model2 .chain")).to_contain_text("→ 10")
    page.goto("/#model2.kernels=4,8")
    expect(page.locator("#model2 [data-key='kernels'] input")).to_have_count(2)
    expect(page.locator("#model2 [data-key='kernel_sizes'] select")).to_have_count(2)
    expect(page.locator("[name='model2.optimizer']")).to_have_value("adam")


def test_bad_values_in_a_link_are_shown_as_faults(blank: Page, faults: Faults) -> None:
    faults.expected = re.compile("400")
    blank.goto(
        "/#model1.learning_rate=fast&model2.optimizer=%3Cb%3Eadamant&model1.batch_norm=perhaps&model1.rate=3&x=1"
    )
    expect(blank.locator(".field[data-name='model1.learning_rate'] .fault")).to_contain_text('got "fast"')
    expect(blank.locator(".field[data-name='model2.optimizer'] .fault")).to_contain_text('got "<b>adamant"')
    expect(blank.locator("#banner")).to_contain_text("model1.rate, x, model1.batch_norm=perhaps")
    blank.get_by_role("button", name="Dismiss").click()
    expect(blank.locator("#banner")).to_be_hidden()
    expect(blank.locator("#start")).to_be_enabled()


def test_the_link_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    show_settings(page)
    page.locator("[name='model2.seed']").fill("3")
    page.click("#share")
    expect(page.locator("#share")).to_have_text("Link copied")
    assert page.evaluate("navigator.clipboard.readText()").endswith("#model2.seed=3")


# Keys, title, notification


def test_enter_starts_space_pauses_and_escape_closes(page: Page) -> None:
    set_quick_models(page)
    page.locator("[name='model2.epochs']").press("Enter")
    badges(page, "running")
    page.wait_for_function(COUNT_POINTS, arg=2)
    expect(page).to_have_title(re.compile(r"^\d+ % · .*FashionMNIST"))
    page.locator("body").press(" ")
    badges(page, "paused")
    expect(page).to_have_title(re.compile(r"^\d+ % paused"))
    page.locator("body").press(" ")
    badges(page, "running")
    page.locator("#fold").press(" ")
    expect(page.locator("#model1 .fields")).to_be_visible()
    badges(page, "running")
    page.get_by_text("Export", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator("[data-export='csv']")).to_be_hidden()


def test_every_control_is_reached_by_tab_in_the_order_of_the_page(finished: Page) -> None:
    finished.locator("h1").click()
    reached = []
    for _ in range(45):
        finished.keyboard.press("Tab")
        reached.append(
            finished.evaluate(
                "(({id, name, dataset, textContent}) => id || name || dataset.action || textContent.trim())(document.activeElement)"
            )
        )
        outline = finished.evaluate(
            "(({activeElement: e}) => [e, e.nextElementSibling].some((x) => x && getComputedStyle(x).outlineStyle !== 'none'))(document)"
        )
        assert outline, f"focus on {reached[-1]} cannot be seen"
    wanted = ["start", "theme", "share", "fold", "view-axis", "view-layout", "view-x", "Values", "present", "Export"]
    wanted += ["cursor", "tab-comparison"]
    assert [name for name in reached if name in wanted] == wanted


def test_a_notification_comes_at_the_end_to_who_asked_for_it(blank: Page) -> None:
    blank.add_init_script(
        "window.told = []; window.asked = 0;"
        "window.Notification = class { constructor(title, {body}) { told.push(`${title}: ${body}`); }"
        " static permission = 'default';"
        " static async requestPermission() { asked += 1; return 'granted'; } };"
    )
    blank.goto("/")
    expect(blank.locator("#start")).to_be_enabled()
    assert blank.evaluate("asked") == 0
    blank.click("#notify")
    expect(blank.locator("#notify")).to_have_attribute("aria-pressed", "true")
    set_quick_models(blank, epochs=1)
    start(blank)
    expect(blank.locator("#state")).to_have_text("Finished")
    blank.wait_for_function("() => told.length > 0")
    assert blank.evaluate("told.length") == 1
    assert "both models have ended" in blank.evaluate("told[0]")


# Who reads otherwise


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(blank: Page, theme: str) -> None:
    blank.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    stub_empty(blank)
    blank.goto("/")
    expect(blank.locator("#start")).to_be_enabled()
    expect(blank.locator("#model2 .chain")).to_contain_text("→ 10")
    check_with_axe(blank, "empty")
    blank.unroute_all(behavior="wait")
    blank.reload()
    expect(blank.locator("#start")).to_be_enabled()  # by then a run of before has folded the forms
    set_quick_models(blank)
    for summary in blank.locator("#model1 summary:visible").all():
        summary.click()
    check_with_axe(blank, "unfolded")
    start(blank)
    expect(blank.locator("[data-verdict='first']")).to_have_text(re.compile("so far"))
    blank.locator("#figures summary").first.click()
    check_with_axe(blank, "running")
    blank.click("#stop")
    check_with_axe(blank, "asking")
    blank.keyboard.press("Escape")
    blank.set_viewport_size({"width": 390, "height": 844})
    check_with_axe(blank, "on a phone")
    train_to_the_end(blank, {"model1": SMALL, "model2": SMALL | DIVERGING})
    expect(blank.locator("#model2 .trouble")).to_be_visible()
    check_with_axe(blank, "failed")


def stub_empty(page: Page) -> None:
    """Let the server seem as it is before the first run."""
    model = {"state": "idle", "config": None, "points": {}, "evaluations": {}, "events": {}}

    def answer(route: Route) -> None:
        known = route.fetch().json()
        models = {name: known["models"].get(name, {}) | model for name in MODEL_NAMES}
        route.fulfill(json={"boot": known["boot"], "run": None, "next": 0, "reset": True, "models": models})

    page.route("**/api/metrics*", answer)


def test_motion_is_reduced_for_who_asks(page: Page) -> None:
    moving = "[...document.querySelectorAll('*')].some((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0)"
    assert page.evaluate(moving)
    page.emulate_media(reduced_motion="reduce")
    assert not page.evaluate(moving)


def test_on_paper_the_figure_fits_and_the_controls_are_gone(finished: Page) -> None:
    finished.emulate_media(media="print")
    finished.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    finished.wait_for_function("() => document.querySelector('#chart .main-svg').clientWidth <= 680")
    for control in ("#start", "#fold", ".toolbar", "[role='tablist']"):
        expect(finished.locator(control)).to_be_hidden()
    expect(finished.locator("#paper-settings")).to_be_visible()
    finished.evaluate("window.dispatchEvent(new Event('afterprint'))")
    finished.emulate_media(media="screen")
    finished.wait_for_function("() => document.querySelector('#chart .main-svg').clientWidth > 1000")


def test_before_the_first_run_the_page_shows_what_will_appear(
    launch: Launch, faults: Faults, data_dir: Path, tmp_path: Path
) -> None:
    server = Server(data_dir, tmp_path)  # one that has no history yet
    server.start()
    try:
        with launch(server.url) as context, fresh_page(context, server.url, faults) as page:
            page.goto("/")
            expect(page.locator("#start")).to_be_enabled()
            expect(page.locator("#empty")).to_contain_text("learning curves will appear here")
            expect(page.locator("[data-verdict='first']")).to_contain_text("Who will be ahead")
            expect(page.locator("[role='tablist']")).to_be_hidden()
            expect(page.locator("#lessons-home .lesson-card")).to_have_count(6)
            in_sight = "part => part.getBoundingClientRect().bottom <= window.innerHeight"
            assert page.locator("#lessons-home").evaluate(in_sight)
            assert page.locator("#model2 [data-key='epochs']").evaluate(in_sight)
    finally:
        server.stop()


# An hour


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("polls", "most"),
    [(450, 1.95e6), pytest.param(1800, 3e6, marks=pytest.mark.soak)],
    ids=["a quarter", "the whole"],
)
def test_an_hour_of_polling_does_not_grow_memory(blank: Page, polls: int, most: float) -> None:
    blank.add_init_script((Path(__file__).parent / "hour.js").read_text(encoding="utf-8"))
    blank.goto("/")
    session = blank.context.new_cdp_session(blank)

    def heap(polls: int) -> float:
        blank.wait_for_function("(polls) => window.polls >= polls", arg=polls, timeout=800_000)
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"])

    def used(polls: int) -> float:
        """Return the least of three moments: what is under way in one of them, a busy machine leaves there for long."""
        return min(heap(polls + 10 * moment) for moment in range(3))

    blank.wait_for_selector("#chart[data-drawn]", timeout=60_000)  # on a busy machine many polls come before the figure
    began = blank.evaluate("window.polls")
    early = used(began + 150)
    more = used(began + 150 + polls) - early
    assert more < most, f"{more / 1e6:.2f} MB more after {polls} polls"


@pytest.mark.parametrize("state", ["Training another run", "Training pair 3 of 5"])
def test_the_top_bar_cuts_no_value(page: Page, state: str) -> None:
    page.evaluate(
        """(state) => {
            document.querySelector("#state").textContent = state;
            document.querySelector("#remaining").textContent = "8 min 05 s left";
            document.querySelector("#device").textContent = "CPU, 2 cores, 2 threads, a long name";
            document.querySelector("#connection").textContent = "no connection";
        }""",
        state,
    )
    cut = """() => { const around = document.querySelector(".overall").getBoundingClientRect();
        return ["#state", "#remaining"].filter((name) => { const one = document.querySelector(name).getBoundingClientRect();
            return one.right > around.right + 0.5 || (one.top < around.bottom - 0.5 && one.bottom > around.bottom + 0.5); }); }"""
    assert page.evaluate(cut) == []
