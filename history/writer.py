"""The writer: a thread that saves what trainings measure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from config import ModelConfig
from history.log import MetricsLog
from history.records import News, Status

SAVE_INTERVAL = 0.5  # seconds


@dataclass
class Recording:
    """A run that is being saved, and what of it waits for the disk."""

    run: str
    metrics: MetricsLog
    configs: dict[str, ModelConfig]
    environment: str
    series: str | None
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    entered: bool = False
    unsaved: dict[str, News] = field(default_factory=dict)

    def take_news(self) -> None:
        for model, news in self.metrics.take_news().items():
            old = self.unsaved.get(model, News(news.status, [], [], []))
            self.unsaved[model] = News(
                news.status, old.points + news.points, old.evaluations + news.evaluations, old.events + news.events
            )

    @property
    def is_saved(self) -> bool:
        return self.entered and not self.unsaved


def forget(waiting: dict[Any, Any], written: Mapping[Any, Any]) -> None:
    """Take out what has been written, unless a newer one has come in its place."""
    for key, value in written.items():
        if waiting.get(key) is value:
            del waiting[key]


def as_text(status: Status) -> str:
    return json.dumps(status.as_json())
