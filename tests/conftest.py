"""What all tests share: no configuration or cache of whoever runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: other people's work on the machine is no failure of ours.
settings.register_profile("bench", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bench")


@pytest.fixture(scope="session", autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One artifact cache and state folder for the session, and no config folders of the user."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("BENCH_CACHE_DIR", str(cache))
        patch.setenv("BENCH_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        patch.delenv("BENCH_CONFIG_PATH", raising=False)
        patch.setenv("COLUMNS", "200")
        yield cache
