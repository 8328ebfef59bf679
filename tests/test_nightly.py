"""The nightly gate as it is handed out: its configuration, the workflow's own steps, the script for cron.

The workflow's steps are taken from the file and executed in order, as GitHub does it; nights that measure are real.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from harness import SHORT, SPECIMEN, lines, run_bench, run_folders, three_lines, until

ROOT = Path(__file__).resolve().parents[1]
NIGHTLY = ROOT / "examples" / "nightly"
WORKFLOW_FILE = NIGHTLY / "github-actions.yml"
SCRIPT = NIGHTLY / "nightly.sh"
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
ACTION = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}\Z")

MODEL = """\
import time


def make():
    def wait(inputs):
        time.sleep({seconds})
        return inputs["x"] * 2

    return wait
"""
# Other work on the machine is no fault of these trials: cores that count as shared, and nobody watching them.
TONIGHT = """\
defaults:
  - nightly
  - override workload: python
  - override optimizations: [native]
  - override partitions: [time_shared]
  - override telemetry: []
  - _self_
workload:
  factory: mypackage.models:make
  model: callable
  inputs: {x: {shape: [4]}}
partitions: {time_shared: {tenants: 1}}
thresholds: {throughput: 0.05, energy: null}
protocol: {blocks: 6, doublings: 2, look_level: 0.02, warmup_min_s: 0.0, warmup_limit_s: 1.0, window_s: 0.2}
"""


def workflow() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(WORKFLOW_FILE.read_text())
    return content


def git(folder: Path, *words: str) -> str:
    named = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    done = subprocess.run(["git", "-C", str(folder), *named, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, seconds: float, words: str) -> str:
    """The package as it takes `seconds` for each item."""
    (folder / "mypackage" / "models.py").write_text(MODEL.format(seconds=seconds))
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", words)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A repository with a package of one commit, in the folder of that name in a workspace."""
    folder = tmp_path / "workspace" / "package"
    (folder / "mypackage").mkdir(parents=True)
    (folder / "mypackage" / "__init__.py").touch()
    (folder / "perf").mkdir()
    (folder / "perf" / "tonight.yaml").write_text(TONIGHT)
    (folder / ".gitignore").write_text("__pycache__/\n")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, 0.002, "it answers")
    return folder


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """What is on PATH before all else: bench itself, unless a test puts something in its place."""
    folder = tmp_path / "tools"
    executable(folder / "bench", f'#!/bin/sh\nexec "{sys.executable}" -P -m bench "$@"\n')
    return folder


@pytest.fixture
def gpu() -> Iterator[str]:
    """A GPU's name that nobody's lock has."""
    name = f"test-{os.getpid()}-{time.monotonic_ns()}"
    yield name
    Path(f"/tmp/bench-{name}.lock").unlink(missing_ok=True)


# What a bench of which only the exit code matters does: it notes what it was called with, and leaves a run.
STUB = """\
#!/bin/sh
echo "$@" >> "{calls}"
case $1 in
  run)
    for word; do
      case $word in results_dir=*) folder=${{word#results_dir=\\'}}; mkdir "${{folder%\\'}}/a-run" ;; esac
    done
    echo "the words of bench"; exit {code} ;;
  compare) [ {code} = 2 ] || echo "| the table |" > "$4"; exit {code} ;;
esac
"""


def stub(tools: Path, code: int) -> Path:
    """In the place of bench; the file in which its calls are."""
    calls = tools / "calls"
    executable(tools / "bench", STUB.format(calls=calls, code=code))
    return calls


# --- the configuration ---


def test_the_configuration_plans_and_takes_options_on_top(tmp_path: Path) -> None:
    done = run_bench(
        "plan", "--config-name", "nightly", "optimizations=[fp32]", "protocol.blocks=3", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["protocol"], plan["blocks"], plan["looks"]) == ("nightly", 3, [3, 6])
    assert {trial["optimization"] for trial in plan["trials"]} == {"fp32"}
    assert plan["thresholds"] == {"throughput": 0.02, "p99": None, "start_up": 0.1, "energy": 0.05, "quality": 0.005}


def test_a_night_that_was_interrupted_is_taken_up_with_its_configuration(tmp_path: Path) -> None:
    done = run_bench("run", "--config-name", "nightly", *SPECIMEN, *SHORT, "telemetry=[]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = run_folders(tmp_path / "results")
    whole = lines(run)
    (run / "trials.jsonl").write_text(json.dumps(whole[0]) + "\n")
    again = run_bench("run", "--resume", str(run), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert [trial["id"] for trial in lines(run)] == [trial["id"] for trial in whole]
    assert json.loads((run / "run.json").read_text())["config"]["thresholds"]["throughput"] == 0.02


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


# --- the workflow, as a file ---


def test_the_workflow_is_one_that_github_accepts() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(WORKFLOW_FILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_workflow_that_github_refuses_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(WORKFLOW_FILE.read_text().replace("fail-fast:", "fail-fats:"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_two_jobs_never_share_a_gpu_and_none_is_cut_off() -> None:
    (job,) = workflow()["jobs"].values()
    assert job["concurrency"] == {"group": "bench-${{ matrix.gpu }}", "cancel-in-progress": False}
    assert "${{ matrix.gpu }}" in job["runs-on"]


def test_the_workflow_may_read_and_nothing_else() -> None:
    content = workflow()
    (job,) = content["jobs"].values()
    assert set(content["permissions"].values()) == {"read"} and "permissions" not in job
    checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]
    assert len(checkouts) == 2 and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_actions_are_pinned_to_commits() -> None:
    (job,) = workflow()["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert len(used) == 3 and all(ACTION.match(name) for name in used), used


def test_no_expression_is_pasted_into_a_script() -> None:
    """It would be executed as it stands: a base named `; rm -rf .` must stay a name."""
    (job,) = workflow()["jobs"].values()
    assert not [step["name"] for step in job["steps"] if EXPRESSION.search(step.get("run", ""))]


def test_every_step_is_a_script_that_bash_can_read() -> None:
    (job,) = workflow()["jobs"].values()
    for step in job["steps"]:
        if "run" in step:
            done = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, (step["name"], done.stderr)


# --- the workflow, executed ---


@dataclass
class Job:
    """What GitHub would show of it."""

    failed: list[str] = field(default_factory=list)
    exit_code: int = 0
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    summary: str = ""
    log: str = ""


def execute(
    workspace: Path,
    tools: Path,
    gpu: str,
    asked: str = "",
    event: str = "schedule",
    env: Mapping[str, str] | None = None,
) -> Job:
    """The steps of the workflow's job, but for those that fetch and install."""
    temp = workspace.parent / "runner_temp"
    temp.mkdir(exist_ok=True)
    summary = temp / "summary"
    summary.unlink(missing_ok=True)
    summary.touch()
    found = Job()
    (job,) = workflow()["jobs"].values()
    sha = git(workspace / "package", "rev-parse", "HEAD")

    def filled(text: object) -> str:
        known = {
            "matrix.gpu": gpu, "github.workspace": str(workspace), "github.repository": "me/mine",
            "github.token": "none", "inputs.base": asked,
            "github.server_url": "https://github.com",
            **{f"steps.{step}.outputs.{key}": value for step, o in found.outputs.items() for key, value in o.items()},
        }  # fmt: skip
        unset = re.compile(r"steps\.\w+\.outputs\.\w+\Z")

        def value(match: re.Match[str]) -> str:
            return known[match[1]] if match[1] in known else "" if unset.match(match[1]) else known[match[1]]

        return EXPRESSION.sub(value, str(text))

    common = {
        **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "RUNNER_TEMP": str(temp), "GITHUB_SHA": sha,
        "GITHUB_EVENT_NAME": event, "GITHUB_WORKFLOW": "nightly benchmark", "GITHUB_REF_NAME": "main",
        "GITHUB_STEP_SUMMARY": str(summary), **{key: filled(value) for key, value in job["env"].items()}, **(env or {}),
    }  # fmt: skip
    for step in job["steps"]:
        if "uses" in step or step["name"] == "Install" or (found.failed and step.get("if") != "always()"):
            continue
        output = temp / "output"
        output.unlink(missing_ok=True)
        output.touch()
        own = {key: filled(value) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=workspace / job["defaults"]["run"]["working-directory"],
            env={**common, "GITHUB_OUTPUT": str(output), **own},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        found.log += done.stdout + done.stderr
        if "id" in step:
            found.outputs[step["id"]] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        if done.returncode:
            found.failed.append(step["name"])
            found.exit_code = done.returncode
    found.summary = summary.read_text()
    return found


def last_good(tools: Path, answer: str) -> Path:
    """A `gh` that knows one answer; the file in which its calls are."""
    calls = tools / "gh-calls"
    executable(tools / "gh", f'#!/bin/sh\necho "$@" >> "{calls}"\nprintf "%s" "{answer}"\n')
    return calls


@pytest.mark.slow
def test_the_workflow_tells_a_slower_commit_from_an_equal_one(package: Path, tools: Path, gpu: str) -> None:
    base = git(package, "rev-parse", "HEAD")
    last_good(tools, base)
    commit(package, 0.002, "nothing changed")
    equal = execute(package.parent, tools, gpu)
    assert (equal.failed, equal.exit_code) == ([], 0), equal.log
    assert "✓ not slower" in equal.summary and base[:10] in equal.summary

    tonight = commit(package, 0.0022, "a tenth slower")
    slower = execute(package.parent, tools, gpu)
    assert (slower.failed, slower.exit_code) == (["Gate"], 1), slower.log
    assert "✗ slower" in slower.summary
    row = next(line for line in slower.summary.splitlines() if "regressed" in line and line.startswith("|"))
    assert all(word in row.replace("\\", "") for word in ("native", "time_shared", "throughput")), slower.summary
    assert f"| commit | {base[:12]} | {tonight[:12]} |" in slower.summary
    kept = package.parents[1] / "runner_temp" / "night"
    (run,) = (path for path in kept.iterdir() if path.is_dir())
    assert (run / "trials.jsonl").is_file() and (kept / "night.log").stat().st_size
    assert ElementTree.parse(run.with_suffix(".xml")).getroot().findall(".//failure")


def test_not_enough_evidence_is_red_unless_the_setting_says_neutral(package: Path, tools: Path, gpu: str) -> None:
    stub(tools, 4)
    assert execute(package.parent, tools, gpu, asked="HEAD").exit_code == 4
    job = execute(package.parent, tools, gpu, asked="HEAD", env={"NOT_ENOUGH_EVIDENCE": "neutral"})
    assert (job.failed, job.exit_code) == ([], 0)
    assert "::warning::" in job.log


@pytest.mark.parametrize("code", [1, 2, 3, 130])
def test_neutral_hides_no_other_exit_code(package: Path, tools: Path, gpu: str, code: int) -> None:
    stub(tools, code)
    job = execute(package.parent, tools, gpu, asked="HEAD", env={"NOT_ENOUGH_EVIDENCE": "neutral"})
    assert (job.failed, job.exit_code) == (["Gate"], code)


def test_a_night_that_measured_nothing_shows_the_log(package: Path, tools: Path, gpu: str) -> None:
    stub(tools, 2)
    job = execute(package.parent, tools, gpu, asked="HEAD")
    assert "not measured (exit code 2" in job.summary and "the words of bench" in job.summary


def test_the_first_night_compares_the_commit_with_itself(package: Path, tools: Path, gpu: str) -> None:
    asked = last_good(tools, "")
    calls = stub(tools, 0)
    job = execute(package.parent, tools, gpu)
    assert job.exit_code == 0, job.log
    assert f"--against {git(package, 'rev-parse', 'HEAD')} " in calls.read_text()
    assert "--workflow nightly benchmark --branch main --status success" in asked.read_text()


def test_a_fixed_base_is_used_each_night_unless_one_is_asked_for(package: Path, tools: Path, gpu: str) -> None:
    asked = last_good(tools, "never asked")
    calls = stub(tools, 0)
    release = git(package, "rev-parse", "HEAD")
    git(package, "tag", "v1")
    later = commit(package, 0.002, "later")
    execute(package.parent, tools, gpu, env={"FIXED_BASE": "v1"})
    execute(package.parent, tools, gpu, asked="HEAD", env={"FIXED_BASE": "v1"})
    measured = [line for line in calls.read_text().splitlines() if line.startswith("run ")]
    assert [f"--against {base} " in line for base, line in zip((release, later), measured, strict=True)] == [True, True]
    assert not asked.exists()


def test_a_pull_request_is_compared_with_the_branch_it_goes_into(package: Path, tools: Path, gpu: str) -> None:
    calls = stub(tools, 0)
    git(package, "checkout", "--quiet", "-b", "mine")
    commit(package, 0.005, "a change")
    git(package, "checkout", "--quiet", "main")
    branch = commit(package, 0.002, "meanwhile")
    git(package, "merge", "--quiet", "--no-ff", "-X", "theirs", "-m", "what GitHub checks out", "mine")
    assert execute(package.parent, tools, gpu, event="pull_request").exit_code == 0
    assert f"--against {branch} " in calls.read_text()


def test_a_base_that_is_not_there_stops_the_job_and_says_so(package: Path, tools: Path, gpu: str) -> None:
    calls = stub(tools, 0)
    for base in ("gone", "--upload-pack=x", "HEAD; touch here"):
        job = execute(package.parent, tools, gpu, asked=base)
        assert job.failed[0] == "Choose the base" and job.exit_code == 2
        assert f"{base} is no commit of this repository" in job.log
        assert "an earlier step failed" in job.summary
    assert not calls.exists() and not (package / "here").exists()


def test_the_workflow_waits_for_who_else_is_on_the_gpu(package: Path, tools: Path, gpu: str) -> None:
    calls = stub(tools, 0)
    holder = subprocess.Popen(["flock", f"/tmp/bench-{gpu}.lock", "sh", "-c", f"sleep 1.5; touch {tools}/free"])
    until(Path(f"/tmp/bench-{gpu}.lock").exists, "the lock")
    try:
        assert execute(package.parent, tools, gpu, asked="HEAD").exit_code == 0
        assert (tools / "free").stat().st_mtime_ns <= calls.stat().st_mtime_ns
    finally:
        holder.wait()


# --- the page ---


def test_what_the_page_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "docs" / "nightly.md").read_text())
    assert len(links) > 4 and all((ROOT / "docs" / link).exists() for link in links), links


def test_the_page_names_every_exit_code_and_setting() -> None:
    page = (ROOT / "docs" / "nightly.md").read_text()
    for code in (0, 1, 2, 3, 4, 75, 130):
        assert f"| {code} |" in page
    for name in ("NOT_ENOUGH_EVIDENCE", "FIXED_BASE", "NIGHTS", "KEEP", "BASE", "GPU", "PULL"):
        assert name in page
