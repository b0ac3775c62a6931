import json
import math
import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config import (
    DEFAULTS,
    MODEL_NAMES,
    SCHEMA,
    InvalidSettings,
    ModelConfig,
    differing_fields,
    differing_settings,
    expected_values,
    parse_config,
    parse_text,
)
from studies.presets import PRESETS

FIELDS = list(ModelConfig.model_fields)

EACH = {"a_kernel": "a whole number from 1 to 1024", "a_size": "one of 1, 3, 5, 7"}  # value of a list
EXPECTED = {
    "kernels": "a list of 1 to 8 values, each a whole number from 1 to 1024",
    "kernel_sizes": "a list of 1 to 8 values, each one of 1, 3, 5, 7",
    "optimizer": "one of adam, sgd, rmsprop",
    "learning_rate": "a number above 0 and at most 10",
    "dropout": "a number from 0 to 0.95",
    "batch_size": "a whole number from 1 to 8192",
    "epochs": "a whole number from 1 to 500",
    "seed": "a whole number from 0 to 4294967295",
    "hidden_units": "a whole number from 1 to 4096",
    "batch_norm": "true or false",
    "pool_every": "a whole number from 1 to 4",
    "momentum": "a number from 0 to 0.999",
    "weight_decay": "a number from 0 to 1",
    "schedule": "one of constant, cosine, one_cycle",
    "augment": "one of none, flip, flip_shift, flip_erase",
    "label_smoothing": "a number from 0 to 0.5",
    "precision": "one of auto, float32, bfloat16",
}

# Every one of these is refused by every field, but for the exceptions below.
BAD_VALUES: dict[str, tuple[Any, str]] = {
    "NaN": (math.nan, "NaN"),
    "Infinity": (math.inf, "Infinity"),
    "-Infinity": (-math.inf, "-Infinity"),
    "text": ("3", '"3"'),
    "true": (True, "true"),
    "-1": (-1, "-1"),
    "0": (0, "0"),
    "a billion and more": (10**10, "10000000000"),
    "a number of 400 digits": (10**400, "1" + "0" * 78 + "…"),
    "null": (None, "null"),
    "empty list": ([], "[]"),
    "object": ({}, "{}"),
    "fraction": (10.5, "10.5"),
}
GOOD_AFTER_ALL = {
    ("batch_norm", "true"),
    ("dropout", "0"),
    ("seed", "0"),
    ("momentum", "0"),
    ("weight_decay", "0"),
    ("label_smoothing", "0"),
}
BAD_CASES = [(field, name) for field in FIELDS for name in BAD_VALUES if (field, name) not in GOOD_AFTER_ALL]


def refusal(given: object, model: str = "model1") -> dict[str, str]:
    """Return what parse_config has against settings."""
    with pytest.raises(InvalidSettings) as caught:
        parse_config(given, model)
    return caught.value.fields


def test_expectations_are_stated_for_every_field() -> None:
    assert {field: expected_values(field) for field in FIELDS} == EXPECTED


@pytest.mark.parametrize(("field", "name"), BAD_CASES, ids=lambda part: part.replace(" ", "_"))
def test_bad_value_is_refused_with_what_was_expected_and_given(field: str, name: str) -> None:
    value, shown = BAD_VALUES[name]
    layers = ", one for each of the 4 layers" if field == "kernel_sizes" else ""
    assert refusal({field: value}) == {f"model1.{field}": f"{field} must be {EXPECTED[field]}{layers}, got {shown}"}


@pytest.mark.parametrize(("field", "name"), sorted(GOOD_AFTER_ALL))
def test_zero_and_true_are_taken_where_they_have_a_meaning(field: str, name: str) -> None:
    value = BAD_VALUES[name][0]
    assert getattr(parse_config({field: value}, "model1"), field) == value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernels": [32, "64"]}, 'kernels must each be {a_kernel}, got 32, "64"'),
        ({"kernels": [True]}, "kernels must each be {a_kernel}, got true"),
        ({"kernels": [8.0]}, "kernels must each be {a_kernel}, got 8.0"),
        ({"kernels": [0]}, "kernels must each be {a_kernel}, got 0"),
        ({"kernels": [1025]}, "kernels must each be {a_kernel}, got 1025"),
        ({"kernels": [[8]]}, "kernels must each be {a_kernel}, got [8]"),
        ({"kernels": [1] * 9}, "kernels must be {kernels}, got 1, 1, 1, 1, 1, 1, 1, 1, 1"),
        (
            {"kernel_sizes": [3, 3, 3]},
            "kernel_sizes must be {kernel_sizes}, one for each of the 4 layers, got 3, 3, 3",
        ),
        (
            {"kernels": [8, 8], "kernel_sizes": [3]},
            "kernel_sizes must be {kernel_sizes}, one for each of the 2 layers, got 3",
        ),
        ({"kernels": [8], "kernel_sizes": [4]}, "kernel_sizes must each be {a_size}, got 4"),
        ({"kernels": [8], "kernel_sizes": [9]}, "kernel_sizes must each be {a_size}, got 9"),
        ({"kernels": [8], "kernel_sizes": [True]}, "kernel_sizes must each be {a_size}, got true"),
        ({"optimizer": "Adam"}, 'optimizer must be {optimizer}, got "Adam"'),
        ({"optimizer": "x" * 200}, 'optimizer must be {optimizer}, got "' + "x" * 78 + "…"),
        ({"kernels": ["64,64", 8]}, 'kernels must each be {a_kernel}, got "64,64", 8'),
        ({"batch_size": "1,000"}, 'batch_size must be {batch_size}, got "1,000": write 1000 or 1.000'),
        ({"seed": "1,000,000"}, 'seed must be {seed}, got "1,000,000": write 1000000'),
        ({"dropout": "0;5"}, 'dropout must be {dropout}, got "0;5"'),
        ({"learning_rate": 10.001}, "learning_rate must be {learning_rate}, got 10.001"),
        ({"dropout": 0.951}, "dropout must be {dropout}, got 0.951"),
        ({"batch_size": 8193}, "batch_size must be {batch_size}, got 8193"),
        ({"epochs": 501}, "epochs must be {epochs}, got 501"),
        ({"epochs": 3.0}, "epochs must be {epochs}, got 3.0"),
        ({"seed": 2**32}, "seed must be {seed}, got 4294967296"),
        ({"batch_norm": 1}, "batch_norm must be {batch_norm}, got 1"),
        ({"schedule": "linear"}, 'schedule must be {schedule}, got "linear"'),
        ({"augment": False}, "augment must be {augment}, got false"),
        ({"precision": "float16"}, 'precision must be {precision}, got "float16"'),
    ],
    ids=lambda part: json.dumps(part)[:40] if isinstance(part, dict) else "",
)
def test_value_outside_its_bounds_is_named(given: dict[str, Any], message: str) -> None:
    field = list(given)[-1]
    assert refusal(given) == {f"model1.{field}": message.format(**EXPECTED, **EACH)}


@pytest.mark.parametrize("low_and_high", [
    {"learning_rate": (1e-300, 10)},
    {"dropout": (0, 0.95)},
    {"batch_size": (1, 8192)},
    {"epochs": (1, 500)},
    {"seed": (0, 2**32 - 1)},
    {"hidden_units": (1, 4096)},
    {"pool_every": (1, 4)},
    {"momentum": (0, 0.999)},
    {"weight_decay": (0, 1)},
    {"label_smoothing": (0, 0.5)},
    {"kernels": ([1], [1024] * 8)},
], ids=lambda case: next(iter(case)))  # fmt: skip
def test_bounds_themselves_are_admitted(low_and_high: dict[str, tuple[Any, Any]]) -> None:
    for field, values in low_and_high.items():
        for value in values:
            assert parse_config({field: value}, "model1").model_dump(mode="json")[field] == value


def test_unknown_setting_is_refused_and_the_known_ones_listed() -> None:
    message = f'"learning_rat" is not a setting; the settings are {", ".join(FIELDS)}'
    assert refusal({"learning_rat": 0.1}) == {"model1.learning_rat": message}


def test_every_bad_field_is_reported_at_once() -> None:
    given = {"kernels": [8], "kernel_sizes": [2], "epochs": "5", "dropout": math.nan, "speed": 1, "seed": 1}
    assert set(refusal(given, "model2")) == {
        f"model2.{field}" for field in ("kernel_sizes", "epochs", "dropout", "speed")
    }


def test_bad_kernels_do_not_blame_the_kernel_sizes_that_were_not_given() -> None:
    assert set(refusal({"kernels": []})) == {"model1.kernels"}


@pytest.mark.parametrize("given", [None, [], "adam", 3, True])
def test_settings_that_are_no_object_are_refused(given: object) -> None:
    assert refusal(given) == {"model1": f"model1 must be an object of settings, got {json.dumps(given)}"}


def test_message_of_the_error_holds_every_field() -> None:
    with pytest.raises(InvalidSettings, match=r"^batch_size must be .*; epochs must be "):
        parse_config({"epochs": 0, "batch_size": 0}, "model1")


def test_defaults_are_those_of_the_design() -> None:
    assert DEFAULTS.model_dump(mode="json") == {
        "kernels": [32, 64, 128, 256],
        "kernel_sizes": [3, 3, 3, 3],
        "optimizer": "adam",
        "learning_rate": 0.001,
        "dropout": 0.5,
        "batch_size": 64,
        "epochs": 5,
        "seed": 0,
        "hidden_units": 128,
        "batch_norm": False,
        "pool_every": 1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "constant",
        "augment": "none",
        "label_smoothing": 0.0,
        "precision": "auto",
    }


def test_no_settings_at_all_give_the_defaults() -> None:
    assert parse_config({}, "model1") == DEFAULTS


def test_kernel_sizes_follow_the_number_of_kernels_when_absent() -> None:
    assert parse_config({"kernels": [4] * 6}, "model1").kernel_sizes == (3,) * 6


def test_config_survives_its_own_json() -> None:
    config = ModelConfig(kernels=(8, 16), kernel_sizes=(7, 1), optimizer="sgd", learning_rate=0.25, seed=2**32 - 1)
    assert parse_config(json.loads(config.model_dump_json()), "model1") == config


def test_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DEFAULTS.epochs = 6  # type: ignore[misc]
    assert DEFAULTS.epochs == 5


def test_equal_configs_have_equal_hashes() -> None:
    assert hash(ModelConfig(seed=1)) == hash(ModelConfig(seed=1))
    assert {ModelConfig(seed=1), ModelConfig(seed=1), ModelConfig(seed=2)} == {ModelConfig(seed=2), ModelConfig(seed=1)}


def test_schema_gives_every_field_a_title_a_description_and_a_group() -> None:
    assert list(SCHEMA["properties"]) == FIELDS
    for field, schema in SCHEMA["properties"].items():
        assert schema["title"], field
        assert schema["description"].endswith("."), field
        assert schema["group"] in ("basic", "advanced"), field
    assert [f for f, schema in SCHEMA["properties"].items() if schema["group"] == "basic"] == FIELDS[:8]
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("kernels", "32 64", [32, 64]),
        ("kernels", "32, 64,128", [32, 64, 128]),
        ("kernels", "", []),
        ("kernels", "32 many", [32, "many"]),
        ("kernel_sizes", "3,5.5", [3, "5.5"]),
        ("optimizer", " sgd ", "sgd"),
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", "fast", "fast"),
        ("batch_size", "64", 64),
        ("batch_size", "64.5", "64.5"),
        ("batch_size", "", ""),
        ("batch_norm", "true", True),
        ("batch_norm", "False", False),
        ("batch_norm", "yes", "yes"),
    ],
)
def test_typed_text_becomes_what_json_would_hold(field: str, text: str, value: object) -> None:
    parsed = parse_text(field, text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_typed_nan_is_refused_like_any_other() -> None:
    assert refusal({"dropout": parse_text("dropout", "nan")}) == {
        "model1.dropout": "dropout must be a number from 0 to 0.95, got NaN"
    }


def test_no_field_differs_between_equal_configs() -> None:
    assert differing_fields(DEFAULTS, ModelConfig()) == []


def test_differing_fields_come_in_the_order_of_declaration() -> None:
    other = ModelConfig(seed=1, precision="float32", kernels=(8,), optimizer="sgd")
    assert differing_fields(DEFAULTS, other) == ["kernels", "optimizer", "seed", "precision"]


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ({"kernels": (8, 16)}, {"kernels": (8, 16, 32)}, ["kernels"]),
        ({"kernels": (8, 16)}, {"kernels": (8, 16, 32), "kernel_sizes": (3, 3, 7)}, ["kernels"]),
        ({"kernels": (8, 16)}, {"kernels": (8, 16, 32), "kernel_sizes": (5, 3, 3)}, ["kernels", "kernel_sizes"]),
        ({"kernels": (8, 16)}, {"kernels": (8, 16), "kernel_sizes": (5, 3)}, ["kernel_sizes"]),
    ],
)
def test_kernel_sizes_that_follow_from_the_kernels_are_no_second_difference(
    one: dict[str, Any], two: dict[str, Any], expected: list[str]
) -> None:
    for first, second in ((ModelConfig(**one), ModelConfig(**two)), (ModelConfig(**two), ModelConfig(**one))):
        assert differing_fields(first, second) == expected
        dumped = [config.model_dump(mode="json") for config in (first, second)]
        assert differing_settings(*dumped) == expected


def test_settings_of_other_versions_are_compared_too() -> None:
    assert differing_settings({}, {}) == []
    assert differing_settings({"a": 1}, {"b": 1}) == ["a", "b"]


def test_random_seeds_depend_on_the_seed_and_the_purpose_alone() -> None:
    assert ModelConfig(seed=7).random_seed("order of epoch 0") == ModelConfig(
        seed=7, epochs=9, kernels=(8,)
    ).random_seed("order of epoch 0")
    streams = {
        ModelConfig(seed=seed).random_seed(purpose)
        for seed in range(50)
        for purpose in ("order of epoch 0", "order of epoch 1", "weights hidden")
    }
    assert len(streams) == 150
    assert all(0 <= stream < 2**63 for stream in streams)
    assert statistics.mean(stream / 2**63 for stream in streams) == pytest.approx(0.5, abs=0.1)


def test_seeds_and_purposes_do_not_run_into_each_other() -> None:
    assert ModelConfig(seed=1).random_seed("1/x") != ModelConfig(seed=11).random_seed("/x")


@pytest.mark.parametrize(
    ("name", "model1", "model2"),
    [
        ("Deep vs Shallow", {"kernels": (32, 64, 128, 256)}, {"kernels": (16, 32, 64, 128)}),
        (
            "Optimizer Impact",
            {"optimizer": "adam", "learning_rate": 0.001},
            {"optimizer": "sgd", "learning_rate": 0.01},
        ),
        ("Regularization Effect", {"dropout": 0.5}, {"dropout": 0.3}),
    ],
)
def test_presets_are_the_comparisons_of_the_reference(
    name: str, model1: dict[str, Any], model2: dict[str, Any]
) -> None:
    preset = next(preset for preset in PRESETS if preset.name == name)
    assert differing_fields(preset.model1, preset.model2) == list(model1)
    assert preset.model1.model_dump(include=set(model1)) == model1
    assert preset.model2.model_dump(include=set(model2)) == model2


def test_every_preset_compares_two_different_models_and_says_why() -> None:
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)
    for preset in PRESETS:
        assert differing_fields(preset.model1, preset.model2), preset.name
        assert preset.description, preset.name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), json_values, max_size=4), st.sampled_from(MODEL_NAMES))
def test_whatever_json_is_given_only_bad_fields_are_named(given: dict[str, Any], model: str) -> None:
    try:
        config = parse_config(given, model)
    except InvalidSettings as error:
        assert error.fields
        assert set(error.fields) <= {f"{model}.{field}" for field in given} | {f"{model}.kernel_sizes"}
    else:
        kept = config.model_dump(mode="json")
        assert {field: kept[field] for field in given} == given


def test_momentum_that_no_optimizer_has_is_no_differing_setting() -> None:
    adam = ModelConfig().model_dump(mode="json")
    assert differing_settings(adam, adam | {"momentum": 0.5}) == []
    assert differing_settings(adam, adam | {"momentum": 0.5, "optimizer": "sgd"}) == ["optimizer", "momentum"]
