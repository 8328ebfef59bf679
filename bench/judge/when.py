"""When a run was begun, as far as anything tells it. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bench.stored import StoredRun

STAMP = re.compile(r"^(\d{4})-?(\d{2})-?(\d{2})(?:[T_-]?(\d{2})-?(\d{2})-?(\d{2}))?(?!\d)")
"""What the names of run folders begin with."""


def measured_at(run: StoredRun) -> datetime | None:
    """When it was begun: as the tool wrote that it was imported from, or as run.json or the folder's name tells."""
    imported = run.plan.imported
    stamp = STAMP.match(run.name)
    named = "{}-{}-{}T{}:{}:{}".format(*(part or "00" for part in stamp.groups())) if stamp else ""
    told = (imported.when if imported else "", run.description.get("started_at"), named)
    return next((when for text in told if isinstance(text, str) and (when := _time(text))), None)


def _time(text: str) -> datetime | None:
    """Without a time zone UTC is meant."""
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
