"""The acceptance script, tried on the CPU: begun, interrupted, called again, read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scripts.acceptance import run
from scripts.acceptance.steps import MIG_PARTITIONS, Choice, Step, all_steps, model_optimizations

ROOT = Path(__file__).parents[1]


def choice(folder: Path, **changed: Any) -> Choice:
    chosen = {
        "gpu": "cuda",
        "protocol": "standard",
        "workloads": ("glyphs", "resnet50"),
        "scenarios": ("offline",),
        "partitions": ("full", "mps"),
        "optimizations": ("fp32", "bf16"),
        "mig": False,
        "rounds": 1,
        "build_limit_s": 60.0,
    }
    return Choice(folder, **{**chosen, **changed})


@pytest.mark.slow
def test_interrupted_it_goes_on_where_it_was_and_says_what_did_not_work(tmp_path: Path) -> None:
    folder = tmp_path / "acceptance"
    command = [
        str(ROOT / "scripts" / "acceptance_gpu"),
        *("--folder", str(folder), "--gpu", "cpu", "--protocol", "smoke", "--rounds", "1"),
        *("--workloads", "calibration", "--scenarios", "single_stream", "--partitions", "full,mps"),
        *("--optimizations", "native,tf32"),
    ]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 120
    while not list(folder.glob("results/*/*/trials.jsonl")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=60)
    assert (first.returncode, said.splitlines()[-1]) == (
        run.NOT_FINISHED,
        "stopped at calibration-single_stream: call it again with the same folder, and it goes on there",
    )
    begun = json.loads((folder / "acceptance.json").read_text())
    assert set(begun) == {"doctor", "fidelity"}

    second = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert second.returncode == 0, second.stdout + second.stderr
    (trials,) = folder.glob("results/*/*/trials.jsonl")
    assert len(trials.read_text().splitlines()) == 3, "the same run, finished"
    assert "doctor ..." not in second.stdout
    ended = {name: step["exit_code"] for name, step in json.loads((folder / "acceptance.json").read_text()).items()}
    ended.pop("fidelity")  # one round on a busy machine may well be off
    assert ended == dict.fromkeys(("doctor", "calibration-single_stream", "verify", "report"), 0)
    assert "calibration single_stream on" in second.stdout and ", 0 failed" in second.stdout
    assert "infeasible: mps: the Multi-Process Service needs an NVIDIA GPU" in second.stdout
    assert list((folder / "report").glob("**/*.html"))
    assert json.loads((folder / "verdicts.json").read_text())
    assert json.loads((folder / "fidelity.json").read_text())["device"] == "cpu"


def test_a_step_whose_time_is_up_is_interrupted_and_not_noted(tmp_path: Path) -> None:
    script = "import signal, time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: open('told', 'w').close()"
    step = Step("slow", (sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{script}"), tmp_path / "out")
    done: dict[str, Any] = {}
    assert not run._take(step, tmp_path, 2.0, done)
    assert (tmp_path / "told").exists() and not (tmp_path / "out").exists() and not done


def test_a_step_that_fails_is_noted_with_what_it_said(tmp_path: Path) -> None:
    step = Step("bad", (sys.executable, "-c", "import sys; sys.exit('no GPU here')"), tmp_path / "out")
    done: dict[str, Any] = {}
    assert run._take(step, tmp_path, 30.0, done)
    assert (done["bad"]["exit_code"], done["bad"]["said"]) == (1, "no GPU here")


def test_each_experiment_holds_all_partitions_and_optimizations_and_mig_only_when_allowed(tmp_path: Path) -> None:
    (step, *_) = [step for step in all_steps(choice(tmp_path)) if step.runs]
    assert "partitions=[full,mps]" in step.command and "optimizations=[fp32,bf16]" in step.command
    assert not any("mig" in part or "allow_reconfigure" in part for part in step.command)
    (step, *_) = [step for step in all_steps(choice(tmp_path, mig=True)) if step.runs]
    assert f"partitions=[full,mps,{','.join(MIG_PARTITIONS)}]" in step.command
    assert "partitions.mig_1of7.allow_reconfigure=true" in step.command


def test_its_experiments_are_such_as_bench_plans(tmp_path: Path) -> None:
    """Every step's own command, as far as planning goes, for a GPU that is rehearsed."""
    listed = json.loads(subprocess.run((*run.BENCH, "list", "--json"), capture_output=True, check=True).stdout)
    names = model_optimizations(listed["optimizations"])
    steps = all_steps(choice(tmp_path, gpu="rehearsal/h100-80gb", optimizations=names, mig=True, workloads=("glyphs",)))
    (step,) = [step for step in steps if step.runs]
    options = step.command[step.command.index("run") + 1 :]
    planned = subprocess.run((*run.BENCH, "plan", *options), capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    told = {item["optimization"] for item in plan["infeasible"]} | {trial["optimization"] for trial in plan["trials"]}
    assert {*names} <= told | {"*"}
