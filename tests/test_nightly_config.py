"""The nightly gate's configuration, the example that builds on it, and its page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from harness import measured, run_bench, three_lines
from nightly_stage import NIGHTLY, TONIGHT, make_package

from bench.verbs.resume import taken_up

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "package")


def test_it_plans_with_a_base_and_takes_options_on_top(package: Path) -> None:
    done = run_bench(
        "plan", "--config-name", "nightly", "--against", "HEAD", "optimizations=[fp32]", "protocol.blocks=3", "--json",
        cwd=package,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["protocol"], plan["blocks"], plan["looks"]) == ("nightly", 3, [3, 6])
    assert {trial["optimization"] for trial in plan["trials"]} == {"fp32"}
    assert {trial["isolation"] for trial in plan["trials"]} == {"process", "against_commit"}
    assert plan["thresholds"] == {"throughput": 0.02, "p99": None, "start_up": 0.1, "energy": 0.05, "quality": 0.005}


def test_a_night_that_was_interrupted_is_taken_up_with_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(
        sys.modules, "torch", raising=False
    )  # which other tests have imported, and bench itself never has
    run = measured(
        "--config-name", "nightly", "telemetry=[]", "protocol.blocks=1", "protocol.doublings=0", cwd=tmp_path
    )
    (run / "trials.jsonl").write_text("")
    experiment, plan, _ = taken_up(run, [])
    assert experiment.thresholds.throughput == plan.thresholds.throughput == 0.02


def test_a_slip_in_its_name_is_told_with_the_names_that_there_are(package: Path) -> None:
    done = run_bench("plan", "--config-dir", "perf", "--config-name", "nihgtly", cwd=package)
    assert done.returncode == 2
    what, where, hint = three_lines(done.stderr)
    assert "'nihgtly'" in what and "--config-name nihgtly" in where
    assert "did you mean nightly?" in hint and "config, nightly, tonight" in hint


def test_the_example_for_users_builds_on_it(package: Path) -> None:
    (package / "perf" / "tonight.yaml").write_text((NIGHTLY / "perf" / "tonight.yaml").read_text())
    env = {"PYTHONPATH": str(package)}
    done = run_bench("plan", "--config-dir", "perf", "--config-name", "tonight", "--json", cwd=package, env=env)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["workload"], plan["protocol"], plan["thresholds"]["throughput"]) == ("python", "nightly", 0.02)
    assert {trial["optimization"] for trial in plan["trials"]} == {"fp32", "torch_compile"}


def test_a_rehearsed_night_is_no_good_night(package: Path) -> None:
    lines_left = [line for line in TONIGHT.splitlines() if "time_shared" not in line]
    (package / "perf" / "tonight.yaml").write_text("\n".join(lines_left))
    env = {"PYTHONPATH": str(package)}
    done = run_bench(
        "run", "--config-dir", "perf", "--config-name", "tonight", "--against", "HEAD", "gpu=rehearsal/a100-40gb",
        "protocol.blocks=1", "protocol.doublings=0", cwd=package, env=env,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "a rehearsal compares nothing" in done.stderr


# --- the page ---


def test_what_the_page_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / "nightly.md").read_text())
    assert len(links) > 4 and all((DOCS / link).exists() for link in links), links


def test_the_page_names_every_exit_code_and_setting() -> None:
    page = (DOCS / "nightly.md").read_text()
    for code in (0, 1, 2, 3, 4, 75, 130):
        assert f"| {code} |" in page
    for name in ("NOT_ENOUGH_EVIDENCE", "FIXED_BASE", "NIGHTS", "KEEP", "BASE", "GPU", "PULL", "LOCK", "WAIT", "LIMIT"):
        assert f"`{name}" in page
