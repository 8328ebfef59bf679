"""The acceptance script, tried on the CPU: begun, interrupted, called again, read."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_up_runs
import pytest
from harness import finish, until

from bench.devices.select import find_device
from bench.records import PlannedTrial
from bench.store import Run
from scripts.acceptance import account, child, fidelity, run
from scripts.acceptance.ledger import NAME, Ledger, Outcome
from scripts.acceptance.steps import BENCH, MIG_PARTITIONS, Choice, Step, all_steps, model_optimizations, next_command

ROOT = Path(__file__).parents[1]
Called = Callable[..., int]


def choice(folder: Path, **changed: Any) -> Choice:
    chosen = {
        "gpu": "cuda",
        "device": None,
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


def python(folder: Path, name: str, code: str, **fields: Any) -> Step:
    return Step(name, (sys.executable, "-c", code), folder / name, **fields)


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Called:
    """The script in this process, with steps of the test's own and some arguments; its exit code."""

    def call(steps: list[Step], *arguments: str, folder: Path = tmp_path) -> int:
        monkeypatch.setattr(run, "all_steps", lambda choice: iter(steps))
        monkeypatch.setattr(run, "end_as_by_ctrl_c", lambda: None)
        monkeypatch.setattr(sys, "argv", ["script", "--folder", str(folder), "--optimizations", "fp32", *arguments])
        return run.main()

    return call


def stored(folder: Path) -> dict[str, int]:
    """The exit codes of the steps that are noted."""
    return {name: step["exit_code"] for name, step in json.loads((folder / NAME).read_text())["steps"].items()}


@pytest.mark.slow
def test_interrupted_it_goes_on_where_it_was_and_says_what_did_not_work(tmp_path: Path) -> None:
    folder = tmp_path / "acceptance"
    command = [
        str(ROOT / "scripts" / "acceptance_gpu"),
        *("--folder", str(folder), "--gpu", "cpu", "--protocol", "smoke", "--rounds", "1"),
        *("--workloads", "calibration", "--scenarios", "single_stream", "--partitions", "full,mps"),
        *("--optimizations", "native,tf32"),
    ]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: list(folder.glob("results/*/*/trials.jsonl")), "a first trial", 120)
    first.send_signal(signal.SIGHUP)
    code, said, _ = finish(first)
    assert (code, said.splitlines()[-1]) == (
        child.NOT_FINISHED,
        "stopped at calibration-single_stream: call it again with the same folder, and it goes on there",
    )
    assert set(stored(folder)) == {"doctor", "fidelity"}

    second = subprocess.run(command, capture_output=True, text=True, timeout=200)
    ended = stored(folder)
    assert second.returncode == int(any(ended.values())), second.stdout + second.stderr
    (trials,) = folder.glob("results/*/*/trials.jsonl")
    assert len(trials.read_text().splitlines()) == 3, "the same run, finished"
    assert "doctor ..." not in second.stdout
    ended.pop("fidelity")  # one round on a busy machine may well be off
    assert ended == dict.fromkeys(("doctor", "calibration-single_stream", "verify", "report"), 0)
    assert "calibration single_stream on" in second.stdout and ", 0 failed" in second.stdout
    assert "infeasible: mps: the Multi-Process Service needs an NVIDIA GPU" in second.stdout
    assert list((folder / "report").glob("**/*.html"))
    assert json.loads((folder / "verdicts.json").read_text())
    assert json.loads((folder / "fidelity.json").read_text())["device"] == "cpu"


SLOW = """
import signal, sys, time
def told(*_):
    open("told", "w").close()
    sys.exit(130)
signal.signal(signal.SIGTERM, told)
"""
CALL = """
import sys
from pathlib import Path
from scripts.acceptance import run
from scripts.acceptance.steps import Step
folder, code = Path.cwd(), sys.argv.pop()
run.all_steps = lambda choice: [Step("slow", (sys.executable, "-c", code), folder / "slow")]
sys.argv += ["--folder", str(folder), "--optimizations", "fp32"]
sys.exit(run.main())
"""


def begun(folder: Path, prelude: str = SLOW) -> tuple[subprocess.Popen[str], int]:
    """The script with one step that never ends by itself, once that runs; and a pipe that ends with the step."""
    os.mkfifo(folder / "pipe")
    pipe = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    code = prelude + "\nimport os, time; pipe = open('pipe', 'w'); print(os.getpid(), file=pipe, flush=True); "
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, code + "time.sleep(60)"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    return process, pipe


def heard(pipe: int) -> bytes:
    assert select.select([pipe], [], [], 20.0)[0], "nothing within 20 s"
    return os.read(pipe, 100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_step_and_it_is_not_finished(tmp_path: Path, number: signal.Signals) -> None:
    process, pipe = begun(tmp_path)
    heard(pipe)
    process.send_signal(number)
    code, said, _ = finish(process)
    assert code == child.NOT_FINISHED and said.endswith(
        "stopped at slow: call it again with the same folder, and it goes on there\n"
    )
    assert (tmp_path / "told").exists() and heard(pipe) == b"" and not stored(tmp_path)
    os.close(pipe)


def test_what_is_ignored_stays_ignored_as_nohup_asks() -> None:
    code = "import signal; from scripts.acceptance.child import *; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    code += "end_as_by_ctrl_c(); assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_killed_it_leaves_no_step_behind(tmp_path: Path) -> None:
    process, pipe = begun(tmp_path)
    heard(pipe)
    process.kill()
    finish(process)
    assert heard(pipe) == b"" and (tmp_path / "told").exists()
    os.close(pipe)


def test_while_a_step_that_was_left_behind_still_writes_a_second_call_refuses(
    tmp_path: Path, called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    process, pipe = begun(tmp_path, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    left = int(heard(pipe))
    process.kill()
    finish(process)
    try:
        assert called([]) == child.NOT_FINISHED
        assert "a step that one left behind, is writing here" in capsys.readouterr().err
    finally:
        os.kill(left, signal.SIGKILL)
        os.close(pipe)
    child.hold(until(lambda: tmp_path if not Path(f"/proc/{left}").exists() else None, "its end")).close()


def test_a_step_whose_time_is_up_is_interrupted_and_not_noted(tmp_path: Path) -> None:
    step = python(tmp_path, "slow", f"import os; os.chdir({str(tmp_path)!r})\n{SLOW}\ntime.sleep(60)")
    done = Ledger(tmp_path, {})
    with child.hold(tmp_path) as lock:
        assert not run.take(step, 1.0, done, lock)
    assert (tmp_path / "told").exists() and not (tmp_path / "slow").exists() and not done.steps


def test_a_step_that_failed_is_tried_again_and_one_that_worked_is_not(tmp_path: Path, called: Called) -> None:
    count = f"import sys; from pathlib import Path; p = Path({str(tmp_path)!r}, sys.argv[0] + 'NAME'); n = p.exists(); "
    count += "p.open('a').write('x'); "
    good = python(tmp_path, "good", count.replace("NAME", "good-count"))
    bad = python(tmp_path, "bad", count.replace("NAME", "bad-count") + "sys.exit(None if n else 'no GPU here')")
    assert called([good, bad]) == run.FAILED
    assert stored(tmp_path) == {"good": 0, "bad": 1}
    assert json.loads((tmp_path / NAME).read_text())["steps"]["bad"]["said"] == "no GPU here"
    assert called([good, bad]) == 0
    assert stored(tmp_path) == {"good": 0, "bad": 0}
    assert [len((tmp_path / f"-c{name}-count").read_text()) for name in ("good", "bad")] == [1, 2]


def test_a_failed_step_goes_on_with_its_run_unless_that_is_complete(tmp_path: Path) -> None:
    step = python(tmp_path, "runs", "", runs=tmp_path / "runs")
    assert next_command(step, failed=True) == step.command
    whole = made_up_runs.run(made_up_runs.plan(), made_up_runs.faster({}))
    older = made_up_runs.write(whole, tmp_path / "runs" / "1")
    assert next_command(step, failed=True) == step.command
    assert next_command(step, failed=False)[-2:] == ("--resume", str(older)), "it was killed before it was noted"
    newer = made_up_runs.write(whole, tmp_path / "runs" / "2")
    trials = newer / "trials.jsonl"
    trials.write_text("".join(trials.read_text().splitlines(keepends=True)[:-1]))
    assert next_command(step, failed=True)[-2:] == ("--resume", str(newer))


def test_a_run_that_another_process_writes_is_not_finished(
    tmp_path: Path, called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Run.create(tmp_path, "held")
    for name in ("plan.json", "run.json"):
        held.write_json(name, {})
    step = Step("run", (*BENCH, "run", "--resume", str(held.folder)), tmp_path / "out")
    assert called([step]) == child.NOT_FINISHED
    assert run.BUSY in capsys.readouterr().out and not stored(tmp_path)


def test_other_options_in_the_same_folder_are_refused(
    tmp_path: Path, called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    step = python(tmp_path, "good", "")
    assert called([python(tmp_path, "bad", "1/0")], "--mig") == run.FAILED
    assert called([step]) == 0, "nothing was done with other options"
    assert called([step], "--minutes", "5") == 0
    capsys.readouterr()
    assert called([step], "--mig", "--protocol", "smoke") == 2
    what, _, hint = capsys.readouterr().err.splitlines()
    assert what.endswith("begun with --mig (no), --protocol standard, and is called with --mig (yes), --protocol smoke")
    assert "only --minutes may differ" in hint


@pytest.mark.parametrize("content", [b"", b'{"options', b"[]", b'{"options": {}, "steps": {"good": 1}}', b"\xff"])
def test_a_broken_ledger_is_begun_anew(
    tmp_path: Path, called: Called, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert called([python(tmp_path, "good", "")]) == 0
    assert "cannot be read" in capsys.readouterr().out and stored(tmp_path) == {"good": 0}


def test_a_ledger_that_cannot_be_written_leaves_the_old_one_whole(
    tmp_path: Path, called: Called, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called([python(tmp_path, "good", "")]) == 0

    def full(path: Path, text: str) -> None:
        path.write_bytes(text.encode()[:10])
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert called([python(tmp_path, "good", "")]) == 2
    assert "cannot write: No space left on device" in capsys.readouterr().err
    assert stored(tmp_path) == {"good": 0}


def test_nothing_else_is_tried_when_a_needed_step_fails(tmp_path: Path, called: Called) -> None:
    assert called([python(tmp_path, "doctor", "1/0", needed=True), python(tmp_path, "other", "")]) == run.FAILED
    assert set(stored(tmp_path)) == {"doctor"}


def test_without_a_gpu_it_ends_in_the_words_of_bench(tmp_path: Path) -> None:
    command = (ROOT / "scripts" / "acceptance_gpu", "--folder", tmp_path, "--optimizations", "fp32")
    ended = subprocess.run(command, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True)
    assert ended.returncode == run.FAILED and not ended.stderr
    said = ended.stdout.splitlines()
    assert said[0] == "doctor ..." and said[2].startswith("bench: ") and said[-1].startswith("  hint: ")
    assert len(said) == 5 and set(stored(tmp_path)) == {"doctor"}


@pytest.mark.parametrize("arguments", [("--minutes", "nan"), ("--minutes", "0"), ("--minutes=-8",), ("--rounds", "0")])
def test_a_limit_that_is_none_is_refused_in_words(
    called: Called, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        called([], *arguments)
    assert "should be" in capsys.readouterr().err


@pytest.mark.parametrize("inside", ["", "folder"])
def test_a_folder_that_is_a_file_is_refused_in_words(
    tmp_path: Path, called: Called, capsys: pytest.CaptureFixture[str], inside: str
) -> None:
    (tmp_path / "file").touch()
    assert called([], folder=tmp_path / "file" / inside) == 2
    assert capsys.readouterr().err.startswith("acceptance: cannot write: ")


def test_the_report_is_named_only_where_there_is_one(
    tmp_path: Path, called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called([]) == 0
    assert "report:" not in capsys.readouterr().out
    (tmp_path / "report").mkdir()
    assert called([]) == 0
    assert f"report: {tmp_path / 'report'}" in capsys.readouterr().out


def test_reasons_that_differ_in_numbers_are_told_once(tmp_path: Path) -> None:
    def measured(planned: PlannedTrial) -> dict[str, Any]:
        if planned.optimization == "fp32":
            return {}
        reason = f"other processes used {planned.block}% of it" if planned.block > 1 else "it was throttled"
        return {"status": "invalid", "reason": reason}

    made_up_runs.write(made_up_runs.run(made_up_runs.plan(), measured), tmp_path / "results" / "specimen" / "1")
    told = account.told(tmp_path, {"bad": Outcome(1, 1.0, "why")}).splitlines()
    assert told[0] == "step bad ended with exit code 1: why"
    assert told[2:] == [
        "  invalid: full int8_ort (1): it was throttled",
        "  invalid: full int8_ort (9): other processes used 2% of it (the first of them; others differ in numbers)",
    ]


def test_a_run_whose_plan_is_broken_is_told_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "results" / "specimen" / "1").mkdir(parents=True)
    (tmp_path / "results" / "specimen" / "1" / "plan.json").write_text("{")
    assert account.told(tmp_path, {}).startswith("1: this run's plan cannot be read")


def test_fidelity_sees_the_one_gpu_that_bench_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsed = find_device({"kind": "rehearsal", "model": "a100-40gb", "state": str(tmp_path / "state")})
    assert rehearsed.gpu
    asked = []

    def found(node: Any) -> Any:
        asked.append(node)
        return rehearsed

    def seen(slot: Any) -> Any:
        raise LookupError(os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"])

    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(fidelity, "find_device", found)
    monkeypatch.setattr(fidelity, "on_slot", seen)
    with pytest.raises(LookupError) as told:
        fidelity.main("cuda", 1, "GPU-7")
    assert asked == [{"kind": "cuda", "device": "GPU-7"}]
    assert told.value.args == (rehearsed.gpu.address.uuid, "PCI_BUS_ID")


def test_a_device_is_passed_on_to_every_step_that_uses_one(tmp_path: Path) -> None:
    doctor, timing, *runs = all_steps(choice(tmp_path, device="GPU-7"))
    assert timing.command[-3:] == ("cuda", "1", "GPU-7")
    for step in (doctor, *runs):
        assert {"gpu=cuda", "gpu.device=GPU-7"} <= set(step.command)
    assert not any("gpu.device" in part for step in all_steps(choice(tmp_path)) for part in step.command)


def test_each_experiment_holds_all_partitions_and_optimizations_and_mig_only_when_allowed(tmp_path: Path) -> None:
    (step, *_) = [step for step in all_steps(choice(tmp_path)) if step.runs]
    assert "partitions=[full,mps]" in step.command and "optimizations=[fp32,bf16]" in step.command
    assert not any("mig" in part or "allow_reconfigure" in part for part in step.command)
    (step, *_) = [step for step in all_steps(choice(tmp_path, mig=True)) if step.runs]
    assert f"partitions=[full,mps,{','.join(MIG_PARTITIONS)}]" in step.command
    assert "partitions.mig_1of7.allow_reconfigure=true" in step.command


def test_its_experiments_are_such_as_bench_plans(tmp_path: Path) -> None:
    """Every step's own command, as far as planning goes, for a GPU that is rehearsed."""
    listed = json.loads(subprocess.run((*BENCH, "list", "--json"), capture_output=True, check=True).stdout)
    names = model_optimizations(listed["optimizations"])
    steps = all_steps(choice(tmp_path, gpu="rehearsal/h100-80gb", optimizations=names, mig=True, workloads=("glyphs",)))
    (step,) = [step for step in steps if step.runs]
    options = step.command[step.command.index("run") + 1 :]
    planned = subprocess.run((*BENCH, "plan", *options), capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    told = {item["optimization"] for item in plan["infeasible"]} | {trial["optimization"] for trial in plan["trials"]}
    assert {*names} <= told | {"*"}
