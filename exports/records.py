"""Records: what was measured of a run's models, as the command line writes and draws it."""

from collections.abc import Mapping
from dataclasses import dataclass

from history.records import Evaluation, Point, Status


@dataclass(frozen=True)
class ModelRecord:
    """All that was measured of one model, at full resolution."""

    status: Status
    points: list[Point]
    evaluations: list[Evaluation]


Records = Mapping[str, ModelRecord]
