"""The nightly gate for GitHub Actions: the workflow as a file, and its own steps, executed in order."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from harness import until
from hydra.core.override_parser.overrides_parser import OverridesParser
from nightly_stage import MEASURED_NOTHING, NIGHTLY, commit, executable, head, make_package, runs, stub, waiting
from repositories import git

WORKFLOW_FILE = NIGHTLY / "github-actions.yml"
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
ACTION = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}\Z")


def workflow() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(WORKFLOW_FILE.read_text())
    return content


def the_job() -> dict[str, Any]:
    (job,) = workflow()["jobs"].values()
    return dict(job)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "workspace" / "package")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """What is on PATH before all else."""
    return tmp_path / "tools"


# --- as a file ---


def accepted_by_github(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_workflow_is_one_that_github_accepts(tmp_path: Path) -> None:
    done = accepted_by_github(WORKFLOW_FILE)
    assert done.returncode == 0, done.stdout + done.stderr
    path = tmp_path / "bad.yml"
    path.write_text(WORKFLOW_FILE.read_text().replace("fail-fast:", "fail-fats:"))
    assert accepted_by_github(path).returncode == 1


def test_two_jobs_never_share_a_gpu_and_none_is_cut_off() -> None:
    job = the_job()
    assert job["concurrency"] == {"group": "bench-${{ matrix.gpu }}", "cancel-in-progress": False}
    assert "${{ matrix.gpu }}" in job["runs-on"]


def test_bench_is_told_to_end_before_github_ends_the_job() -> None:
    """5 minutes until it would be killed, and 15 for all else."""
    job = the_job()
    assert "--kill-after=5m" in str(job["steps"])
    assert job["env"]["WAIT"] + job["env"]["LIMIT"] + 5 + 15 <= job["timeout-minutes"]


def test_the_workflow_may_read_and_nothing_else() -> None:
    job = the_job()
    assert set(workflow()["permissions"].values()) == {"read"} and "permissions" not in job
    checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout")]
    assert len(checkouts) == 2 and all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_actions_are_pinned_to_commits() -> None:
    used = [step["uses"] for step in the_job()["steps"] if "uses" in step]
    assert len(used) == 3 and all(ACTION.match(name) for name in used), used


def test_no_expression_is_pasted_into_a_script() -> None:
    """It would be executed as it stands: a base named `; rm -rf .` must stay a name."""
    assert not [step["name"] for step in the_job()["steps"] if EXPRESSION.search(step.get("run", ""))]


# --- executed ---


@dataclass
class Job:
    """What GitHub would show of it."""

    failed: list[str] = field(default_factory=list)
    exit_code: int = 0
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    summary: str = ""
    log: str = ""


def execute(
    package: Path,
    tools: Path,
    asked: str = "",
    event: str = "schedule",
    env: Mapping[str, str] | None = None,
    meanwhile: Callable[[subprocess.Popen[str]], None] | None = None,
) -> Job:
    """The job's steps, but for those that fetch and install. `meanwhile` gets the process that measures."""
    workspace = package.parent
    temp = workspace.parent / "runner's temp"
    temp.mkdir(exist_ok=True)
    summary, output = temp / "summary", temp / "output"
    summary.write_text("")
    found = Job()
    job = the_job()

    def filled(text: object) -> str:
        known = {
            "matrix.gpu": "gpu-0", "github.workspace": str(workspace), "github.repository": "me/mine",
            "github.token": "none", "inputs.base": asked, "github.event.repository.default_branch": "main",
            "github.server_url": "https://github.com",
            **{f"steps.{step}.outputs.{key}": value for step, o in found.outputs.items() for key, value in o.items()},
        }  # fmt: skip
        unset = re.compile(r"steps\.\w+\.outputs\.\w+\Z")
        return EXPRESSION.sub(
            lambda match: known[match[1]] if not unset.match(match[1]) else known.get(match[1], ""), str(text)
        )

    common = {
        **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "RUNNER_TEMP": str(temp), "GITHUB_SHA": head(package),
        "GITHUB_EVENT_NAME": event, "GITHUB_WORKFLOW_REF": "me/mine/.github/workflows/weekly.yml@refs/heads/main",
        "GITHUB_REF_NAME": git(package, "branch", "--show-current").strip(), "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(output), **{key: filled(value) for key, value in job["env"].items()},
        "LOCK": str(tools.parent / "lock"), **(env or {}),
    }  # fmt: skip
    for step in job["steps"]:
        if "uses" in step or step["name"] == "Install" or (found.failed and step.get("if") != "always()"):
            continue
        output.write_text("")
        process = subprocess.Popen(
            ["env", "--default-signal=INT", "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=workspace / job["defaults"]["run"]["working-directory"],
            env={**common, **{key: filled(value) for key, value in step.get("env", {}).items()}},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        if meanwhile and step.get("id") == "night":
            meanwhile(process)
        found.log += process.communicate(timeout=300)[0]
        if "id" in step:
            found.outputs[step["id"]] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        if process.returncode:
            found.failed.append(step["name"])
            found.exit_code = process.returncode
    found.summary = summary.read_text()
    return found


def last_good(tools: Path, answer: str) -> Path:
    """A `gh` that knows one answer; the file in which its calls are."""
    calls = tools / "gh-calls"
    executable(tools / "gh", f'#!/bin/sh\necho "$@" >> {shlex.quote(str(calls))}\nprintf "%s" "{answer}"\n')
    return calls


@pytest.mark.slow
def test_the_workflow_tells_a_slower_commit_from_an_equal_one(package: Path, tools: Path) -> None:
    base = head(package)
    executable(
        tools / "bench",
        f'#!/bin/sh\ncase $1 in run | compare) exec "{sys.executable}" -P -m bench "$@" ;; esac\n',
    )
    last_good(tools, base)
    commit(package, 0.02, "nothing changed")
    equal = execute(package, tools)
    assert (equal.failed, equal.exit_code) == ([], 0), equal.log
    assert "✓ not slower" in equal.summary and base[:10] in equal.summary

    tonight = commit(package, 0.022, "a tenth slower")
    slower = execute(package, tools)
    assert (slower.failed, slower.exit_code) == (["Gate"], 1), slower.log
    assert "✗ slower" in slower.summary
    row = next(line for line in slower.summary.splitlines() if "regressed" in line and line.startswith("|"))
    assert all(word in row.replace("\\", "") for word in ("native", "time_shared", "throughput")), slower.summary
    assert f"| commit | {base[:12]} | {tonight[:12]} |" in slower.summary
    kept = tools.parent / "runner's temp" / "night"
    (run,) = (path for path in kept.iterdir() if path.is_dir())
    assert (run / "trials.jsonl").is_file() and (kept / "night.log").stat().st_size
    assert ElementTree.parse(run.with_suffix(".xml")).getroot().findall(".//failure")


# --- which outcome ---


def test_not_enough_evidence_is_red_unless_the_setting_says_neutral(package: Path, tools: Path) -> None:
    stub(tools, 4)
    assert execute(package, tools, asked="HEAD").exit_code == 4
    job = execute(package, tools, asked="HEAD", env={"NOT_ENOUGH_EVIDENCE": "neutral"})
    assert (job.failed, job.exit_code) == ([], 0)
    assert "::warning::" in job.log


@pytest.mark.parametrize("code", [1, 2, 3, 130])
def test_neutral_hides_no_other_exit_code(package: Path, tools: Path, code: int) -> None:
    stub(tools, code)
    job = execute(package, tools, asked="HEAD", env={"NOT_ENOUGH_EVIDENCE": "neutral"})
    assert (job.failed, job.exit_code) == (["Gate"], code)


@pytest.mark.parametrize("code", [0, 1, 2, 4])
def test_a_night_that_measured_nothing_is_no_outcome_and_shows_the_log(package: Path, tools: Path, code: int) -> None:
    stub(tools, code, run=MEASURED_NOTHING)
    job = execute(package, tools, asked="HEAD")
    assert job.exit_code == 2
    assert "not measured (exit code 2" in job.summary and "the words of bench" in job.summary


def test_a_bench_that_cannot_start_is_not_slower(package: Path, tools: Path) -> None:
    stub(tools, 0, doctor=1)
    job = execute(package, tools, asked="HEAD")
    assert (job.failed, job.exit_code) == (["Look at the machine", "Gate"], 2)
    assert "an earlier step failed" in job.summary


# --- which base ---


def test_the_first_night_compares_the_commit_with_itself_and_says_so(package: Path, tools: Path) -> None:
    asked = last_good(tools, "")
    calls = stub(tools, 0)
    job = execute(package, tools)
    assert job.exit_code == 0, job.log
    assert job.summary.startswith("# compared with itself: nothing is shown on gpu-0")
    assert f"--against {head(package)} " in runs(calls)[0]
    assert "--workflow weekly.yml --branch main --status success" in asked.read_text()


def test_another_branch_is_compared_with_the_default_one_until_it_has_nights(package: Path, tools: Path) -> None:
    calls = stub(tools, 0)
    main = head(package)
    git(package, "update-ref", "refs/remotes/origin/main", main)
    git(package, "checkout", "--quiet", "-b", "feature/mine")
    first = commit(package, 0.02, "mine")
    last_good(tools, "")
    job = execute(package, tools, event="workflow_dispatch")
    assert "✓ not slower" in job.summary
    last_good(tools, first)
    commit(package, 0.02, "more")
    execute(package, tools, event="workflow_dispatch")
    assert [f"--against {base} " in line for base, line in zip((main, first), runs(calls), strict=True)] == [True, True]


def test_a_run_against_a_base_that_was_named_is_not_the_last_good_night() -> None:
    """By its name: GitHub tells no inputs of a run that is over."""
    named = workflow()["run-name"]
    assert named == "${{ inputs.base && format('against {0}', inputs.base) || 'nightly' }}"
    (asks,) = (step["run"] for step in the_job()["steps"] if step.get("id") == "base")
    assert '.displayTitle | IN("nightly", "against HEAD")' in asks


def test_a_fixed_base_is_used_each_night_unless_one_is_asked_for(package: Path, tools: Path) -> None:
    asked = last_good(tools, "never asked")
    calls = stub(tools, 0)
    release = head(package)
    git(package, "tag", "v1")
    later = commit(package, 0.02, "later")
    execute(package, tools, env={"FIXED_BASE": "v1"})
    execute(package, tools, asked="HEAD", env={"FIXED_BASE": "v1"})
    assert [f"--against {base} " in line for base, line in zip((release, later), runs(calls), strict=True)] == [
        True,
        True,
    ]
    assert not asked.exists()


def test_a_pull_request_is_compared_with_the_branch_it_goes_into(package: Path, tools: Path) -> None:
    calls = stub(tools, 0)
    git(package, "checkout", "--quiet", "-b", "mine")
    commit(package, 0.03, "a change")
    git(package, "checkout", "--quiet", "main")
    branch = commit(package, 0.02, "meanwhile")
    git(package, "merge", "--quiet", "--no-ff", "-X", "theirs", "-m", "what GitHub checks out", "mine")
    assert execute(package, tools, event="pull_request").exit_code == 0
    assert f"--against {branch} " in calls.read_text()


def test_a_base_that_is_not_there_stops_the_job_and_says_so(package: Path, tools: Path) -> None:
    calls = stub(tools, 0)
    for base in ("gone", "--upload-pack=x", "HEAD; touch here"):
        job = execute(package, tools, asked=base)
        assert job.failed[0] == "Choose the base" and job.exit_code == 2
        assert f"{base} is no commit of this repository" in job.log
        assert "an earlier step failed" in job.summary
    assert not runs(calls) and not (package / "here").exists()


# --- beside others, and cut off ---


def test_it_waits_for_who_else_is_on_the_gpu_and_not_for_ever(package: Path, tools: Path) -> None:
    calls = stub(tools, 0)
    lock = tools.parent / "lock"
    lock.touch()
    holder = subprocess.Popen(["flock", str(lock), "cat"], stdin=subprocess.PIPE)
    try:
        until(lambda: subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode, "the lock")
        job = execute(package, tools, asked="HEAD", env={"WAIT": "0"})
        assert (job.failed[0], job.exit_code) == ("Measure both", 2)
        assert f"::error::Somebody else has held {lock}" in job.log and not runs(calls)
        assert "mig restore" not in calls.read_text()  # it is their layout

        def leave(process: subprocess.Popen[str]) -> None:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            holder.communicate()

        assert execute(package, tools, asked="HEAD", meanwhile=leave).exit_code == 0
    finally:
        holder.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job_ends_bench_and_says_so(package: Path, tools: Path, number: signal.Signals) -> None:
    """GitHub tells the step's own shell, and nobody else."""
    started = waiting(tools)

    def cancel(process: subprocess.Popen[str]) -> None:
        until(started.exists, "measuring")
        process.send_signal(number)

    job = execute(package, tools, asked="HEAD", meanwhile=cancel)
    assert (job.failed, job.exit_code) == (["Gate"], 130)
    assert job.summary.startswith("# ✗ interrupted on gpu-0")
    assert not started.exists()  # it was waited for
    assert "mig restore" in (tools / "calls").read_text()


def test_the_limit_ends_bench_while_there_is_time_for_the_rest(package: Path, tools: Path) -> None:
    waiting(tools)
    assert execute(package, tools, asked="HEAD", env={"LIMIT": "0.01"}).exit_code == 130


def test_any_folder_reaches_bench_as_it_is_called(package: Path, tools: Path) -> None:
    calls = stub(tools, 0)
    assert execute(package, tools, asked="HEAD").exit_code == 0
    word = runs(calls)[0].partition(" results_dir=")[2]
    parsed = OverridesParser.create().parse_override(f"results_dir={word}").value()
    assert str(parsed) == str(tools.parent / "runner's temp" / "night")
