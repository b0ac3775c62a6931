"""A page that is light: what is kept is not asked for again, forms wait for no charts, and nobody draws for nobody."""

import re
from collections.abc import Iterator

import pytest
from browser import COUNT_POINTS, Faults, Server, fresh_page, lines, set_quick_models, start, stop_training
from drawn import look
from playwright.sync_api import BrowserContext, Page, Route, expect

LIBRARY = re.compile("plotly.min.js")
OVER_THE_WIRE = """() => performance.getEntriesByType("resource")
    .filter(({name, transferSize}) => !name.includes("/api/") && transferSize > 0).map(({name}) => name)"""
SHIFTS = """() => {
    window.shifted = [];
    new PerformanceObserver((list) => list.getEntries().forEach(({value, hadRecentInput, sources}) => {
        const place = ({left, top}) => `${left}, ${top}`;
        const what = sources.map(({node, previousRect, currentRect}) =>
            `${node?.id || node?.className || node?.nodeName} from ${place(previousRect)} to ${place(currentRect)}`).join("; ");
        if (!hadRecentInput) shifted.push([value, what]);
    })).observe({type: "layout-shift", buffered: true});
}"""
COUNT_DRAWINGS = """() => {
    const { react } = Plotly;
    window.drawings = 0;
    Plotly.react = (...all) => { window.drawings += 1; return react(...all); };
}"""


@pytest.fixture
def uncached(context: BrowserContext, server: Server, faults: Faults) -> Iterator[Page]:
    """A page whose requests all go to the server."""
    with fresh_page(context, server.url, faults) as page:
        page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
        yield page
        stop_training(page)


def test_a_second_load_asks_for_the_page_alone(page: Page) -> None:
    page.wait_for_function("window.Plotly")
    page.goto("/")
    page.wait_for_function("window.Plotly")
    assert page.evaluate(OVER_THE_WIRE) == []
    assert len(page.evaluate("performance.getEntriesByType('resource')")) > 50


def test_no_module_has_two_addresses(page: Page) -> None:
    page.wait_for_function("window.Plotly")
    addresses = set(page.evaluate("performance.getEntriesByType('resource').map(({name}) => name)"))
    modules = [re.sub(r".*/static/(\w{16}/)?", "", name) for name in addresses if name.endswith(".js")]
    assert len(modules) > 50
    assert sorted(modules) == sorted(set(modules))


def test_forms_work_while_a_line_says_that_the_chart_library_is_coming(uncached: Page) -> None:
    held: list[Route] = []
    uncached.route(LIBRARY, lambda route: held.append(route))
    uncached.goto("/", wait_until="commit")
    expect(uncached.locator("#library")).to_contain_text("The chart library is on its way")
    expect(uncached.locator("#start")).to_be_enabled()
    set_quick_models(uncached)
    uncached.click("#start")
    for name in ("model1", "model2"):
        expect(uncached.locator(f"#{name} [data-figure='step']")).to_have_text(re.compile("[1-9]"))
    with uncached.expect_response(re.compile("api/metrics")):
        pass  # what is drawn waits, and polls do not
    with uncached.expect_response(re.compile("api/metrics")):
        pass
    expect(uncached.locator("#library")).to_be_visible()
    for route in held:
        route.continue_()
    uncached.unroute(LIBRARY)
    uncached.wait_for_function(COUNT_POINTS, arg=10)
    expect(uncached.locator("#library")).to_be_hidden()


def test_a_chart_library_that_does_not_load_is_told_and_tried_again(uncached: Page, faults: Faults) -> None:
    faults.expected = re.compile("ERR_FAILED")
    uncached.route(LIBRARY, lambda route: route.abort())
    uncached.goto("/")
    line = uncached.locator("#library")
    expect(line).to_contain_text("The chart library did not load")
    expect(uncached.locator("#start")).to_be_enabled()
    set_quick_models(uncached)
    uncached.click("#start")
    expect(uncached.locator("#model1 [data-figure='step']")).to_have_text(re.compile("[1-9]"))
    uncached.unroute(LIBRARY)
    line.get_by_role("button", name="Try again").click()
    uncached.wait_for_function(COUNT_POINTS, arg=10)
    expect(line).to_be_hidden()


def test_a_figure_out_of_sight_is_not_drawn_in_training_and_is_whole_once_it_is_seen(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=20)
    page.evaluate("document.querySelector('.tabs').style.paddingBottom = '3000px'")
    page.evaluate("window.scrollTo(0, 3000)")
    page.wait_for_function("document.querySelector('#chart').getBoundingClientRect().bottom < 0")
    with page.expect_response(re.compile("api/metrics")):
        pass  # what was under way when it was seen
    page.evaluate(COUNT_DRAWINGS)
    points = len(lines(page)["model1-loss"]["x"])
    for _ in range(2):
        with page.expect_response(re.compile("api/metrics")):
            pass
    assert page.evaluate("drawings") == 0
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_function(COUNT_POINTS, arg=points + 1)


def test_a_picture_of_a_figure_out_of_sight_shows_all_that_is_known(page: Page) -> None:
    set_quick_models(page)
    start(page)
    page.wait_for_function(COUNT_POINTS, arg=20)
    end = "data.find(({uid}) => uid === 'model1-loss').x.at(-1)"
    page.evaluate("document.querySelector('.tabs').style.paddingBottom = '3000px'")
    page.evaluate("window.scrollTo(0, 3000)")
    before = look(page, end)
    for _ in range(3):
        with page.expect_response(re.compile("api/metrics")):
            pass
    with page.expect_download():
        page.evaluate("document.querySelector('[data-export=png]').click()")
    assert look(page, end) > before


def test_little_is_shifted_on_load_of_a_narrow_page(finished: Page) -> None:
    finished.set_viewport_size({"width": 390, "height": 844})
    finished.add_init_script(f"({SHIFTS})()")
    finished.goto("/")
    finished.wait_for_selector("#chart[data-drawn]")
    expect(finished.locator("#significance")).to_be_visible()
    shifted = finished.evaluate("shifted")
    assert sum(value for value, _ in shifted) <= 0.05, "\n".join(map(str, shifted))


def test_little_is_shifted_in_a_run(page: Page) -> None:
    page.evaluate(SHIFTS)
    page.evaluate("shifted.length = 0")
    set_quick_models(page, epochs=1)
    start(page)
    expect(page.locator("#state")).to_have_text("Finished")
    shifted = page.evaluate("shifted")
    assert sum(value for value, _ in shifted) <= 0.05, "\n".join(map(str, shifted))
