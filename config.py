"""ModelConfig: the only description of a run's settings.

The form on the page, the validation of requests, the JSON Schema, the command-line
flags and the table in the README are all derived from the fields declared here.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from data import IMAGE_SIDE, Batches

MODEL_NAMES = ("model1", "model2")
DEFAULT_KERNEL_SIZE = 3
Channels = Annotated[int, Field(ge=1, le=1024)]
KernelSize = Annotated[int, Field(json_schema_extra={"enum": [1, 3, 5, 7]})]


def _setting(title: str, description: str, *, group: str = "basic", unit: str = "", **bounds: Any) -> Any:
    """Return a pydantic field that also carries what the form and the docs show."""
    extra: dict[str, Any] = {"group": group} | ({"unit": unit} if unit else {})
    return Field(title=title, description=description, json_schema_extra=extra, **bounds)


def _one_kernel_size_per_layer(validated: dict[str, Any]) -> tuple[int, ...]:
    return (DEFAULT_KERNEL_SIZE,) * len(validated["kernels"])


class ModelConfig(BaseModel):
    """All settings of one model's run. Immutable and hashable."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    kernels: tuple[Channels, ...] = _setting(
        "Kernels",
        "Output channels of each convolutional layer; as many layers as numbers.",
        default=(32, 64, 128, 256),
        min_length=1,
        max_length=8,
        strict=False,  # JSON has lists, not tuples; the items stay strict
    )
    kernel_sizes: tuple[KernelSize, ...] = _setting(
        "Kernel sizes",
        "Side of each layer's square kernel, in pixels: 1, 3, 5 or 7.",
        unit="px",
        default_factory=_one_kernel_size_per_layer,
        min_length=1,
        max_length=8,
        strict=False,
    )
    optimizer: Literal["adam", "sgd", "rmsprop"] = _setting(
        "Optimizer", "The rule that turns gradients into weight updates.", default="adam"
    )
    learning_rate: float = _setting(
        "Learning rate",
        "Size of each update. 0.001 suits Adam and RMSprop, 0.01 suits SGD.",
        default=0.001,
        gt=0,
        le=10,
    )
    dropout: float = _setting(
        "Dropout",
        "Share of the hidden units switched off at random in each training step.",
        default=0.5,
        ge=0,
        le=0.95,
    )
    batch_size: int = _setting("Batch size", "Images in each training step.", unit="images", default=64, ge=1, le=8192)
    epochs: int = _setting("Epochs", "Passes over the training images.", default=5, ge=1, le=500)
    seed: int = _setting(
        "Seed",
        "Start of every random choice: initial weights, batch order, dropout, augmentation.",
        default=0,
        ge=0,
        le=2**32 - 1,
    )
    hidden_units: int = _setting(
        "Hidden units",
        "Width of the fully connected layer before the output.",
        group="advanced",
        default=128,
        ge=1,
        le=4096,
    )
    batch_norm: bool = _setting(
        "Batch norm", "Normalise each convolution's output over the batch.", group="advanced", default=False
    )
    pool_every: int = _setting(
        "Pool every",
        "Layers from one 2×2 max pool to the next: 1 halves the maps after every layer, 2 after every second.",
        group="advanced",
        unit="layers",
        default=1,
        ge=1,
        le=4,
    )
    momentum: float = _setting(
        "Momentum",
        "How much of the last update SGD carries on; Adam and RMSprop ignore it.",
        group="advanced",
        default=0.9,
        ge=0,
        le=0.999,
    )
    weight_decay: float = _setting(
        "Weight decay",
        "Pull of the weights towards zero: decoupled for Adam (AdamW), added to the gradient for the others.",
        group="advanced",
        default=0.0,
        ge=0,
        le=1,
    )
    schedule: Literal["constant", "cosine", "one_cycle"] = _setting(
        "Schedule",
        "Course of the learning rate over the run; the learning rate above is its peak.",
        group="advanced",
        default="constant",
    )
    augment: Literal["none", "flip", "flip_shift", "flip_erase"] = _setting(
        "Augmentation",
        "Random changes to the training images: mirrored left to right; moved by up to 2 pixels or a square erased.",
        group="advanced",
        default="none",
    )
    label_smoothing: float = _setting(
        "Label smoothing",
        "Share of each label spread over all ten classes in the training loss.",
        group="advanced",
        default=0.0,
        ge=0,
        le=0.5,
    )
    precision: Literal["auto", "float32", "bfloat16"] = _setting(
        "Precision",
        "Number format of the products; auto takes bfloat16 where the hardware computes it natively.",
        group="advanced",
        default="auto",
    )

    @field_validator("kernel_sizes")
    @classmethod
    def _one_size_a_layer(cls, sizes: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        if any(size not in (1, 3, 5, 7) for size in sizes):
            raise ValueError("kernel size outside 1, 3, 5, 7")
        if "kernels" in info.data and len(sizes) != len(info.data["kernels"]):
            raise ValueError("one kernel size for each layer")
        return sizes

    def batches(self, images: int) -> Batches:
        """Return how an epoch of so many training images is cut."""
        return Batches(images, min(self.batch_size, images), self.smallest_batch)

    @property
    def smallest_batch(self) -> int:
        """How many images a step needs: two where batch norm meets maps of 1×1, as one value has no spread."""
        pools_before_last = (len(self.kernels) - 1) // self.pool_every
        return 2 if self.batch_norm and IMAGE_SIDE >> pools_before_last <= 1 else 1

    def held_at(self, rate: float | None) -> "ModelConfig":
        """Return the settings with which a model is trained that has left its schedule at a rate; None: it has not."""
        return self if rate is None else self.model_copy(update={"schedule": "constant", "learning_rate": rate})

    def random_seed(self, purpose: str) -> int:
        """Return the seed (63 bits) of one of the run's random streams, such as "order of epoch 3".

        Streams are independent of each other, and follow from the seed setting and the purpose
        alone, so any point of a run can be reached again without replaying what came before.
        """
        digest = hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1


SCHEMA: dict[str, Any] = ModelConfig.model_json_schema()
DEFAULTS = ModelConfig()


class InvalidSettings(ValueError):
    """Settings that no run may start with; `fields` maps each bad field to what was expected and given."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__("; ".join(fields.values()))
        self.fields = dict(fields)


def expected_values(field: str) -> str:
    """Return in words what a field admits, such as "a whole number from 1 to 8192"."""
    return _describe_schema(SCHEMA["properties"][field])


def _describe_schema(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if schema["type"] == "array":
        low, high = schema["minItems"], schema["maxItems"]
        return f"a list of {low} to {high} values, each {_describe_schema(schema['items'])}"
    if schema["type"] == "boolean":
        return "true or false"
    noun = {"integer": "a whole number", "number": "a number"}[schema["type"]]
    if "exclusiveMinimum" in schema:
        return f"{noun} above {schema['exclusiveMinimum']} and at most {schema['maximum']}"
    return f"{noun} from {schema['minimum']} to {schema['maximum']}"


def settings_table() -> str:
    """Return all settings as the Markdown table that stands in the README."""
    lines = ["| setting | what it does | values | default |", "|---|---|---|---|"]
    for name, default in DEFAULTS.model_dump(mode="json").items():
        description = SCHEMA["properties"][name]["description"]
        shown = json.dumps(default).strip('"')
        lines.append(f"| `{name}` | {description} | {expected_values(name)} | `{shown}` |")
    return "\n".join(lines)


def parse_config(given: object, model: str) -> ModelConfig:
    """Return the ModelConfig of a parsed JSON object; absent fields take their defaults.

    Raises InvalidSettings naming every bad field as "<model>.<field>".
    """
    if not isinstance(given, dict):
        raise InvalidSettings({model: f"{model} must be an object of settings, got {say(given)}"})
    known = {field: value for field, value in given.items() if field in ModelConfig.model_fields}
    fields = {f"{model}.{field}": _explain(field, given) for field in given if field not in known}
    try:
        config = ModelConfig.model_validate(known)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            field = str(problem["loc"][0])
            if problem["type"] != "default_factory_not_called":
                fields.setdefault(f"{model}.{field}", _explain(field, given))
    if fields:
        raise InvalidSettings(fields)
    if config.batch_size < config.smallest_batch:
        needed = f"at least {config.smallest_batch} where batch norm meets maps of 1×1 pixels, got {config.batch_size}"
        raise InvalidSettings({f"{model}.batch_size": f"batch_size must be {needed}"})
    return config


def _explain(field: str, given: Mapping[str, object]) -> str:
    if field not in ModelConfig.model_fields:
        return f"{say(field)} is not a setting; the settings are {', '.join(ModelConfig.model_fields)}"
    value, kernels = given[field], given.get("kernels", DEFAULTS.kernels)
    layers = len(kernels) if field == "kernel_sizes" and isinstance(kernels, list | tuple) else None
    if isinstance(value, list | tuple) and _may_have_length(field, len(value)) and layers in (None, len(value)):
        return f"{field} must each be {_describe_schema(SCHEMA['properties'][field]['items'])}, got {_say_items(value)}"
    expected = expected_values(field) + ("" if layers is None else f", one for each of the {layers} layers")
    shown = _say_items(value) if isinstance(value, list | tuple) and value else say(value)
    return f"{field} must be {expected}, got {shown}{_say_comma(value)}"


def _may_have_length(field: str, length: int) -> bool:
    schema = SCHEMA["properties"][field]
    return schema.get("type") == "array" and schema["minItems"] <= length <= schema["maxItems"]


def say(value: object) -> str:
    """Return a given value as a message shows it."""
    return _shorten(_as_json(value))


def _say_items(values: list[object] | tuple[object, ...]) -> str:
    """Return a list of a form as a message shows it: as it was typed, without a programmer's brackets."""
    return _shorten(", ".join(map(_as_json, values)))


def _shorten(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _as_json(value: object) -> str:
    try:
        return json.dumps(value)
    except TypeError:  # what JSON has no word for
        return repr(value)
    except RecursionError:  # nested almost too deeply to be read at all
        return "something nested too deeply to be shown"


def _say_comma(value: object) -> str:
    """Return what to write in the place of a number with a comma, which may be thousands or a decimal."""
    if not isinstance(value, str) or not re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", value):
        return ""
    return f": write {value.replace(',', '')}" + (f" or {value.replace(',', '.')}" if value.count(",") == 1 else "")


def parse_text(field: str, text: str) -> object:
    """Return the value that a person typed for a field, as JSON would hold it.

    Text that is no number stays text, so that validation can name it.
    """
    kind = SCHEMA["properties"][field]["type"]
    if kind == "array":
        return [_parse_scalar("integer", part) for part in text.replace(",", " ").split()]
    return _parse_scalar(kind, text.strip())


def _parse_scalar(kind: str, text: str) -> object:
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
    except ValueError:
        return text
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def differing_fields(config1: ModelConfig, config2: ModelConfig) -> list[str]:
    """Return the names of the settings in which two models differ, as `differing_settings` counts them."""
    return differing_settings(config1.model_dump(mode="json"), config2.model_dump(mode="json"))


def differing_settings(settings1: Mapping[str, Any], settings2: Mapping[str, Any]) -> list[str]:
    """Return the names of the settings, as JSON holds them, in which two models differ, in their order.

    The kernel sizes of layers that only one of them has follow from its kernels: they are no setting of their own. Nor
    is a momentum that neither model's optimizer has. difference.js counts in the same way.
    """
    differing = [name for name in {**settings1, **settings2} if settings1.get(name) != settings2.get(name)]
    sizes1, sizes2 = (settings.get("kernel_sizes") or [] for settings in (settings1, settings2))
    shared = min(len(sizes1), len(sizes2))
    follows = len(sizes1) != len(sizes2) and sizes1[:shared] == sizes2[:shared]
    idle = {"kernel_sizes"} if follows else set()
    if "sgd" not in (settings1.get("optimizer"), settings2.get("optimizer")):
        idle.add("momentum")
    return [name for name in differing if name not in idle]


if __name__ == "__main__":
    print(settings_table())
