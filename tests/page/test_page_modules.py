"""What the page's modules of pure functions return, evaluated in the browser."""

import json
from typing import Any

import numpy as np
import pytest
from browser import run_in
from playwright.sync_api import Page

from history.curves import BoundedCurve
from history.records import Point
from history.states import SEVERITY


def test_thinning_keeps_ends_and_every_spike(modules: Page) -> None:
    wave = "Array.from({length: 5000}, (_, i) => i === 1234 ? 99 : i === 4321 ? -99 : Math.sin(i))"
    kept = run_in(modules, "base/series", f"m.thin({wave}, 1000)")
    assert isinstance(kept, list)
    assert len(kept) <= 1000
    assert kept == sorted(set(kept))
    assert {0, 1234, 4321, 4999} <= set(kept)


def test_warning_that_is_told_once_stays_until_another_server_answers(modules: Page) -> None:
    answers = "[{reset: true}, {warning: 'damaged'}, {}, {reset: true}]"
    whole = "{boot: 'b', run: null, next: 0, reset: false, models: {}, ...answer}"
    assert run_in(modules, "run/state", f"{answers}.map((answer) => m.take({whole}, 0).warning)") == [
        "",
        "damaged",
        "damaged",
        "",
    ]


def test_points_an_equal_number_of_steps_apart_average_to_what_all_do(modules: Page) -> None:
    noise = np.random.default_rng(0).gamma(2, size=8000)  # with rare highs, as losses have
    curve = BoundedCurve()
    for step, loss in enumerate(noise, 1):
        curve.append(Point(step, step / 860, 1.0, loss, 0.5), step)
    kept = curve.since(0)
    indices = run_in(modules, "base/series", f"m.evenly({[point.step for point in kept]}, 1000)")
    means = [np.mean([point.loss for point in chosen]) for chosen in (kept, [kept[index] for index in indices])]
    assert len(indices) > 300
    assert means[0] > 1.1 * noise.mean()
    assert means[1] == pytest.approx(noise.mean(), abs=4 * noise.std() / len(indices) ** 0.5)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m.thin([], 10)", []),
        ("m.thin([3, 1, 2], 10)", [0, 1, 2]),
        ("[m.evenly([], 10), m.evenly([1, 2, 3], 10)]", [[], [0, 1, 2]]),
        ("m.evenly([1, 3, 4, 6, 8, 9, 12, 13], 4)", None),
        (
            "m.evenly(Array.from({length: 150}, (_, i) => 4 * Math.floor(i / 3) + [1, 3, 4][i % 3]).concat(201), 60)",
            [*range(2, 150, 3), 150],
        ),
        ("m.append({a: [1]}, {a: [2, 3]})", {"a": [1, 2, 3]}),
        ("m.append({}, {a: [2]})", {"a": [2]}),
        ("m.pick([5, 6, 7], [0, 2])", [5, 7]),
        ("[-1, 1, 1.5, 1.6, 2, 9].map((x) => m.nearest([1, 2, 4], x))", [0, 0, 0, 1, 1, 2]),
        ("[m.nearest([], 1), m.countBelow([1, 2, 2], 2), m.countBelow([1, 2, 2], 2, true)]", [-1, 1, 3]),
        ("m.bound({a: [1, 2, 3, 4, 5, 6, 7, 8, 9]}, 'a', 8).a.length <= 4", True),
    ],
)
def test_series_functions_return_what_they_say(modules: Page, expression: str, expected: object) -> None:
    assert run_in(modules, "base/series", expression) == expected


def test_a_reset_replaces_the_history_and_a_delta_extends_it(modules: Page) -> None:
    models = "{model1: {state: 'running', points: {step: [step], loss: [1]}, evaluations: {}}}"
    answer = f"({{reset, step}}) => ({{boot: 'b', run: 'r', next: step, reset, models: {models}}})"
    answers = "[{reset: true, step: 1}, {reset: false, step: 2}, {reset: true, step: 9}]"
    merge = f"((known) => (each) => (known = m.merge(known, ({answer})(each))).models.model1.points.step)(m.NO_HISTORY)"
    assert run_in(modules, "run/answers", f"{answers}.map({merge})") == [[1], [1, 2], [9]]


def test_an_idle_answer_leaves_the_models_as_they_are(modules: Page) -> None:
    known = "{boot: 'b', run: 'r', next: 5, paired: {text: 'alike'}, models: {model1: {state: 'paused'}}}"
    merged = run_in(
        modules, "run/answers", f"m.merge({known}, {{boot: 'b', run: 'r', next: 5, reset: false, models: {{}}}})"
    )
    assert merged == {
        "boot": "b",
        "run": "r",
        "next": 5,
        "paired": {"text": "alike"},
        "models": {"model1": {"state": "paused"}},
    }


def test_states_count_in_the_same_order_as_on_the_server(modules: Page) -> None:
    assert run_in(modules, "run/answers", "m.SEVERITY") == list(SEVERITY)


def test_retries_wait_twice_as_long_each_time_but_never_over_half_a_minute_and_a_bit(modules: Page) -> None:
    assert run_in(modules, "base/poller", "[1, 2, 3, 9].map((n) => m.retryDelay(n, 0.5))") == [2000, 4000, 8000, 30000]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [("null", "–"), ("7.4", "7.4 s"), ("38", "38 s"), ("125", "2 min 05 s"), ("3780", "1 h 03 min")],
)
def test_durations_read_naturally(modules: Page, seconds: str, text: str) -> None:
    assert run_in(modules, "base/format", f"m.duration({seconds})") == text


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("m.setting(0.0006574821363275049)", "0.0006575"),
        ("[0.5, 1e-7, 4294967295, 8192].map(m.setting).join()", "0.5,1e-7,4294967295,8192"),
        (
            "m.fewDigits('learning rate 0.000657482 → 1.23456e-05, 55000 images')",
            "learning rate 0.0006575 → 0.00001235, 55000 images",
        ),
    ],
)
def test_no_number_is_said_in_more_digits_than_one_reads(modules: Page, expression: str, text: str) -> None:
    assert run_in(modules, "base/format", expression) == text


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ("[1, 2], [5, 7], [1, 2], [4, 8]", {"x": [1, 2], "y": [1, -1]}),
        ("[1, 3], [5, 7], [2, 4], [4, 4]", {"x": [2, 3], "y": [2, 3]}),
        ("[1, 2], [5, null], [1, 2], [4, 8]", {"x": [1], "y": [1]}),
        ("[], [], [1], [4]", {"x": [], "y": []}),
    ],
)
def test_the_gap_is_known_where_both_curves_are(modules: Page, curves: str, expected: object) -> None:
    assert run_in(modules, "figure/gap", f"m.gap({curves})") == expected


def test_a_gap_that_changes_sides_passes_through_zero(modules: Page) -> None:
    assert run_in(modules, "figure/gap", "m.withCrossings({x: [0, 2], y: [1, -1]})") == {
        "x": [0, 1, 2],
        "y": [1, 0, -1],
    }


def test_a_link_names_only_what_is_not_a_default_and_reads_back(modules: Page) -> None:
    defaults = "{model1: {kernels: [32, 64], seed: 0}, model2: {kernels: [32, 64], seed: 0}}"
    settings = "{model1: {kernels: [32, 64], seed: 7}, model2: {kernels: [4], seed: 0}}"
    link = run_in(modules, "settings/link", f"m.write({settings}, {defaults})")
    assert link == "#model1.seed=7&model2.kernels=4"
    assert run_in(modules, "settings/link", f"m.read('{link}', ['model1', 'model2'], ['kernels', 'seed'])") == {
        "settings": {"model1": {"seed": "7"}, "model2": {"kernels": "4"}},
        "strangers": [],
    }


def test_a_link_to_no_setting_is_told(modules: Page) -> None:
    read = run_in(
        modules, "settings/link", "m.read('#model3.seed=1&model1.sede=2&x&model1.seed.y=3', ['model1'], ['seed'])"
    )
    assert read == {"settings": {}, "strangers": ["model3.seed", "model1.sede", "x", "model1.seed.y"]}


ON, OVER = "{model1: {state: 'running'}}", "{model1: {state: 'finished'}}"
FORK = "{model1: {state: 'running'}, model2: {state: 'running', events: {kind: ['forked', 'running']}}}"
PAIR = "{pair: 2, of: 3}"


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (f"run: 'a', models: {ON}", f"run: 'a', models: {ON}", None),
        (f"run: 'a', models: {ON}", f"run: 'a', models: {OVER}", "a"),
        (f"run: 'a', models: {OVER}", f"run: 'a', models: {OVER}", None),
        (f"run: 'a', models: {OVER}", f"run: 'b', models: {ON}", None),  # somebody has started it
        (f"run: 'a', models: {ON}", f"run: 'b', models: {ON}", "a"),  # the next in line
        (f"run: 'a', models: {ON}", f"run: 'b', models: {FORK}", None),
        (f"run: 'a', models: {ON}, boot: 1", f"run: 'b', models: {ON}, boot: 2", None),  # another server
        (f"run: 'a', models: {ON}, repeat: {PAIR}", f"run: 'a', models: {OVER}, repeat: {PAIR}", None),
        (f"run: 'a', models: {ON}, repeat: {PAIR}", f"run: 'b', models: {ON}, repeat: {PAIR}", None),
        (f"run: 'b', models: {OVER}, repeat: {PAIR}", "run: 'b', models: {}, repeat: null", "b"),
        (f"run: 'b', models: {ON}, repeat: {PAIR}", f"run: 'b', models: {OVER}, repeat: null", "b"),
    ],
)
def test_the_end_of_a_run_is_told_once_and_that_of_a_series_with_its_last_pair(
    modules: Page, before: str, now: str, expected: str | None
) -> None:
    assert run_in(modules, "run/state", f"m.endedBetween({{{before}}}, {{{now}}})") == expected


@pytest.mark.parametrize(
    ("states", "gap", "title"),
    [
        (["idle", "idle"], "null", "FashionMNIST CNN Training Monitor"),
        (["running", "running"], "0.012", "62 % · 1 leads +1.2 · FashionMNIST"),
        (["paused", "paused"], "null", "62 % paused · FashionMNIST"),
        (["finished", "failed"], "0.012", "failed · 1 leads +1.2 · FashionMNIST"),
        (["finished", "interrupted"], "null", "interrupted · FashionMNIST"),
    ],
)
def test_the_title_tells_progress_and_leader(modules: Page, states: list[str], gap: str, title: str) -> None:
    model = "(state) => ({state, step: 62, total_steps: 100})"
    history = f"{{models: Object.fromEntries({states}.map((state, i) => [i, ({model})(state)]))}}"
    verdict = f"{{verdict: {{leader: {gap} && 'model1', gap: {gap}, text: null}}}}"
    assert run_in(modules, "run/title", f"m.titleOf({history}, {verdict})") == title


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("[4], [3]", "[4, 8], [3, 3]", ["kernels"]),
        ("[4, 8], [3, 5]", "[4], [3]", ["kernels"]),
        ("[4], [3]", "[4, 8], [5, 3]", ["kernels", "kernel_sizes"]),
        ("[4], [3]", "[4], [5]", ["kernel_sizes"]),
        ("[4], [3]", "[4], [3]", []),
    ],
)
def test_the_forms_count_differing_settings_as_the_server_does(
    modules: Page, one: str, two: str, expected: list[str]
) -> None:
    settings = "((kernels, kernel_sizes) => ({kernels, kernel_sizes, seed: 0}))"
    assert run_in(modules, "settings/difference", f"m.differing({settings}({one}), {settings}({two}))") == expected


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"dropout": 0.3}, "Dropout 0.5 → 0.3"),
        ({"kernels": [8, 16]}, "kernels 4 → 8 16"),  # a setting without a title: an older version's
        ({"optimizer": "sgd"}, "adam → sgd"),
        ({"learning_rate": 0.01}, "learning_rate 0.001 → 0.01"),
        ({"optimizer": "sgd", "learning_rate": 0.01, "dropout": 0.3}, "adam 0.001 → sgd 0.01, Dropout 0.5 → 0.3"),
        ({"kernels": [8], "dropout": 0, "batch_norm": True, "seed": 1}, "kernels 4 → 8, Dropout 0.5 → 0 and 2 more"),
    ],
)
def test_what_differs_is_said_with_its_values(modules: Page, other: dict[str, Any], said: str) -> None:
    one = {"kernels": [4], "optimizer": "adam", "learning_rate": 0.001, "dropout": 0.5, "batch_norm": False, "seed": 0}
    given = ", ".join(map(json.dumps, (one, one | other, list(other), {"dropout": "Dropout"})))
    assert run_in(modules, "settings/difference", f"m.changes({given})") == said


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("['finished', 'failed', 'stopped'].map((state) => m.sentenceOf(state, false))", ["Ready"] * 3),
        ("['failed', 'running'].map((state) => m.sentenceOf(state, true))", ["Failed", "Training"]),
        ("['running', 'unable'].map((state) => m.sentenceOf(state, false))", ["Training another run", "Cannot train"]),
        ("m.LIVE_FIGURES.step({step: 2580, total_steps: 2580})", "2,580 / 2,580"),
    ],
)
def test_what_is_said_of_a_run_as_a_whole(modules: Page, expression: str, expected: object) -> None:
    assert run_in(modules, "run/live", expression) == expected


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["idle", "idle"], {"start": True, "toggle": None, "stop": False}),
        (["running", "paused"], {"start": False, "toggle": "pause", "stop": True}),
        (["paused", "failed"], {"start": False, "toggle": "resume", "stop": True}),
        (["finished", "stopped"], {"start": True, "toggle": None, "stop": False}),
    ],
)
def test_buttons_offer_what_the_states_admit(modules: Page, states: list[str], expected: object) -> None:
    assert run_in(modules, "run/controls", f"m.possible({states})") == expected


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        (("finished", 3), ("finished", 3), ""),
        (("interrupted", 1.5), ("stopped", 1.5), " · interrupted at epoch 1.50 of 3. Go on?"),
        (("stopped", 1), ("finished", 3, None), " · stopped at epoch 1.00 of 3 and 3.00 of 3"),
        (
            ("interrupted", 1.5, {"step": 10, "epoch": 1}),
            ("interrupted", 1.5, {"step": 10, "epoch": 1}),
            " · interrupted at epoch 1.50 of 3; goes on from its last checkpoint, epoch 1.00. Go on?",
        ),
        (
            ("interrupted", 1.5, {"step": 10, "epoch": 1}),
            ("interrupted", 0.75, None),
            " · interrupted at epoch 1.50 of 3 and 0.75 of 3; Model 1 goes on from its last checkpoint, epoch 1.00;"
            " Model 2 goes on from the start. Go on?",
        ),
        (
            ("interrupted", 1.5, {"step": None, "epoch": None}),
            ("finished", 3, None),
            " · interrupted at epoch 1.50 of 3 and 3.00 of 3; goes on from its last checkpoint. Go on?",
        ),
    ],
)
def test_a_past_run_is_described_in_a_line(
    modules: Page, one: tuple[Any, ...], two: tuple[Any, ...], said: str
) -> None:
    models = {
        name: {"state": state, "epoch": epoch, "step": 10 * epoch, "config": {"epochs": 3}}
        for name, (state, epoch, *_) in (("model1", one), ("model2", two))
    }
    checkpoints = {
        name: at[0] if at else {"step": 10 * epoch, "epoch": epoch}
        for name, (_, epoch, *at) in (("model1", one), ("model2", two))
    }
    given = {"title": "adam → sgd", "history": {"models": models}, "started": None, "checkpoints": checkpoints}
    past = json.dumps(given | {"parent": None})
    assert run_in(modules, "run/past", f"m.describePast({past})") == f"A past run: adam → sgd · –{said}"


@pytest.mark.parametrize(("parent", "held_rate"), [("x", None), (None, 0.001)])
def test_a_run_that_has_lost_what_it_went_on_from_does_not_offer_to_go_on(
    modules: Page, parent: str | None, held_rate: float | None
) -> None:
    model = {"state": "interrupted", "epoch": 1.5, "step": 15, "config": {"epochs": 3}, "held_rate": held_rate}
    history = {"models": {"model1": model, "model2": model}}
    kept = {"step": 10, "epoch": 1}
    given = {"title": "a", "history": history, "started": None, "checkpoints": {"model1": kept, "model2": None}}
    said = run_in(modules, "run/past", f"m.describePast({json.dumps(given | {'parent': parent})})")
    lost = "the checkpoint of Model 2 is lost, so it cannot go on"
    assert said == f"A past run: a · – · interrupted at epoch 1.50 of 3; {lost}"
    given["checkpoints"] = {"model1": kept, "model2": kept | {"whole": False}}
    said = run_in(modules, "run/past", f"m.describePast({json.dumps(given | {'parent': None})})")
    assert said.endswith("; the checkpoint of Model 2 was given up to make room, so it cannot go on")


@pytest.mark.parametrize(
    ("module", "expression", "expected"),
    [
        ("run/place", "m.runIn('/run/20260101-000000-aaaa')", "20260101-000000-aaaa"),
        ("run/place", "['/', '/run/', '/run/a/b', '/runs/a'].map(m.runIn)", [None] * 4),
        (
            "run/verdict",
            "m.whereabouts({axis: 'epochs', verdict: {accuracy: {at: 2}}, interval: {model1: 0.25, model2: 0.5}})",
            "at 2.00, checked every 0.50 epochs",
        ),
        ("run/verdict", "m.whereabouts({axis: 'epochs', verdict: {accuracy: {at: null}}})", ""),
        ("run/live", "m.nextLook([{state: 'paused', step: 5, next_evaluation_step: 10, batches_per_second: 2}])", ""),
        (
            "run/live",
            "m.nextLook([20, 30].map((at) => ({state: 'running', step: 10, next_evaluation_step: at, batches_per_second: 5})))",
            "next look in 4 s",
        ),
        ("run/live", "m.nextLook([{state: 'running', testing: true}])", "looking at the test images"),
        ("tabs/photo", "[...m.toGrey(Uint8ClampedArray.of(255, 255, 255, 255, 0, 0, 0, 0))]", [1, 0]),
        ("tabs/photo", "[...m.toGrey(Uint8ClampedArray.of(0, 0, 0, 255, 0, 0, 0, 0))]", [0, 1]),
        ("history/family", "m.cameTo({state: 'finished', test_accuracy: 0.912})", "91.2 % test"),
        ("history/columns", "m.seedOf({pair: null, config: {seed: 3}})", "seed 3"),
        ("history/columns", "m.seedOf({pair: {number: 2, of: 5}, config: {seed: 3}})", "pair 2 of 5, seed 3"),
        (
            "history/family",
            "m.cameTo({state: 'stopped', val_accuracy: 0.9, epoch: 1})",
            "stopped at epoch 1.00 · 90.0 % validation",
        ),
        (
            "history/columns",
            "m.differenceIn({difference: {test_accuracy: {value: 0.0123, interval: [-0.001, 0.02], how: 'paired by seed', n: 3}}}, 'test_accuracy')",
            "+1.2 points (95 %: −0.1 to +2.0, paired by 3 seeds)",
        ),
        ("history/disk", "[5123456, 99, 1234567890, 48e6].map(m.size)", ["5.1 MB", "99 bytes", "1.2 GB", "48 MB"]),
        (
            "history/question",
            "String(new URLSearchParams(m.filterPairs({...m.asked(), search: 'a b', config: {kernels: '4,8'}})))",
            "search=a+b&sort=started&order=desc&config.kernels=4%2C8",
        ),
        (
            "settings/form",
            "m.callByTitle('kernel_sizes must each be one of 1, 3, 5, 7, got 9', 'kernel_sizes', 'Kernel sizes')",
            "Kernel sizes must each be one of 1, 3, 5, 7, got 9",
        ),
        (
            "run/answers",
            "['running', 'paused', 'stopped'].map((state) => m.wordOf({state, testing: true}))",
            ["testing", "testing", "stopped"],
        ),
        *(
            (
                "history/menu",
                f"m.isOnSchedule({{models: {{model1: {{epoch: {epoch}, held_rate: {held}, config: {{schedule: 'cosine'}}}}}}}})",
                expected,
            )
            for epoch, held, expected in ((1, "null", True), (0, "null", False), (1, "0.001", False))
        ),
        ("run/controls", "['pause', 'resume', 'stop'].map((act) => m.isDone(act, ['paused']))", [True, False, False]),
        ("run/controls", "m.isDone('pause', ['paused', 'running'])", False),
        ("run/lessons", "['a', 'b', 'c'].map((id) => m.after([{id: 'a'}, {id: 'b'}], id).id)", ["b", "a", "a"]),
        ("run/notes", "m.choose([{id: 'a'}, {id: 'b'}], ['a'])", [{"id": "b"}]),
    ],
)
def test_rules_return_what_they_say(modules: Page, module: str, expression: str, expected: object) -> None:
    assert run_in(modules, module, expression) == expected


@pytest.mark.parametrize(("layout", "title"), [("stacked", "accuracy"), ("overlaid", "")])
def test_the_axis_on_the_right_has_no_title_to_run_into_the_labels(modules: Page, layout: str, title: str) -> None:
    view = f"{{layout: '{layout}', x: 'epochs'}}"
    windows = "{x: [0, 1], loss: [0, 1], accuracy: [0, 1], gap: [-1, 1]}"
    sizes = f"m.measure({{models: {{}}}}, {view}, {{narrow: false, width: 900, height: 500}})"
    shown = f"{{history: {{models: {{}}}}, curves: {{}}, gap: {{x: [], y: []}}, windows: {windows}, sizes: {sizes}, hidden: new Set()}}"
    assert run_in(modules, "figure/figure", f"m.layout({shown}, {view}, {{}}, {{}}).yaxis2.title.text") == title
