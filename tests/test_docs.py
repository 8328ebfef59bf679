"""The documentation is true: its examples run, its links lead somewhere, every plug-in point and option is in it."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import contract

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = (ROOT / "docs" / "plugins.md").read_text()
EXAMPLE = re.compile(r"```\w+ file=(\S+)\n(.*?)```", re.DOTALL)
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    *(
        f"docs/{name}.md"
        for name in (
            "method", "plugins", "gpu", "containers", "injected-truth", "import", "recommend", "compare", "nightly",
            "pytest", "history", "deploy",
        )
    ),
)  # fmt: skip
POINTS = ("Workload", "Pass", "Runtime", "Loaded", "Stream", "Partition", "Scenario", "TelemetrySource",
          "TelemetryReader", "Isolation", "Launcher", "Process", "Neighbours", "Protocol")  # fmt: skip


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("my_bench")
    for name, text in EXAMPLE.findall(PLUGINS):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=cwd, env=os.environ, capture_output=True, text=True, timeout=300, check=False)


def test_the_examples_of_the_guide_run_together(examples: Path, tmp_path: Path) -> None:
    done = bench(
        "run", "--json", "--config-dir", str(examples), "workload=parabola", "optimizations=[native,memoized]",
        "partitions=[one_thread]", "partitions.one_thread.threads=1",
        "scenario=pairs", "telemetry=[host,load_average]", "isolation=[process,polite]",
        "protocol=glance", f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)
    cells = [(row["partition"], row["optimization"]) for row in run["rows"]]
    assert cells == [(p, name) for p in ("one_thread", "one_thread.polite") for name in ("native", "memoized")]
    for line in (Path(run["run"]) / "trials.jsonl").read_text().splitlines():
        assert json.loads(line)["status"] != "failed", line


def test_the_neighbour_of_the_guide_runs(examples: Path, tmp_path: Path) -> None:
    done = bench(
        "run", "--json", "--config-dir", str(examples), "workload=parabola", "optimizations=[native]",
        "partitions=[full,cpuset]", "neighbours=[same,alone,idler]", "protocol=glance",
        f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)
    tenants = {row["partition"]: row["tenants"] for row in run["rows"]}
    assert tenants == {"full": 1, "cpuset": 2, "cpuset.alone": 1, "cpuset.idler": 2}
    for line in (Path(run["run"]) / "trials.jsonl").read_text().splitlines():
        trial = json.loads(line)
        assert trial["status"] != "failed", line
        assert bool(trial["neighbour_throughput_per_s"]) == (trial["neighbours"] == "idler")
    alone = [item for item in run["infeasible"] if item["partition"] == "full.idler"]
    assert "nobody beside it" in alone[0]["reason"]


def test_the_pass_of_the_guide_runs(examples: Path, tmp_path: Path) -> None:
    done = bench(
        "run", "--json", "--config-dir", str(examples), "workload=glyphs", "optimizations=[fp32,rounded]",
        "workload.evaluation_images=200", "protocol=glance", f"results_dir={tmp_path}/results",
        f"cache_dir={tmp_path}/cache", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)
    rounded = next(row for row in run["rows"] if row["optimization"] == "rounded")
    assert rounded["quality"]["top1_agreement"] > 0.9


def test_every_example_is_listed_with_its_sentence(examples: Path, tmp_path: Path) -> None:
    listed = bench("list", "--config-dir", str(examples), cwd=tmp_path).stdout
    for name, text in EXAMPLE.findall(PLUGINS):
        if name.endswith(".yaml"):
            assert re.search(rf"^  {Path(name).stem} +{re.escape(text.splitlines()[0].lstrip('# '))}", listed, re.M)


@pytest.mark.parametrize("point", POINTS)
def test_every_plug_in_point_and_its_methods_are_in_the_guide(point: str) -> None:
    cls = getattr(contract, point)
    assert point in PLUGINS
    for method in sorted(getattr(cls, "__abstractmethods__", ())):
        assert re.search(rf"\b{method}\b", PLUGINS), f"{point}.{method} is not in docs/plugins.md"


def test_the_list_of_points_is_complete() -> None:
    classes = {name: cls for name, cls in vars(contract).items() if inspect.isclass(cls)}
    abstract = {
        name
        for name, cls in classes.items()
        if cls.__module__ in ("bench.contract", "bench.launcher", "bench.stream") and inspect.isabstract(cls)
    }
    assert abstract <= set(POINTS)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
    for path in re.findall(r"`((?:bench|workloads|configs|docs|scripts|tests)/[\w./]+)`", text):
        assert (ROOT / path).exists(), f"{page} names {path}"


def test_every_yaml_begins_with_a_sentence() -> None:
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert path.read_text().startswith("# "), f"{path} does not begin with a comment that says what it is"


def test_every_verb_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for verb in ("run", "plan", "verify", "report", "list", "doctor"):
        assert f"bench {verb}" in readme
