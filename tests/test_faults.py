"""Whatever a tenant, the telemetry process or the user does: the trial says what happened, and the run goes on."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psutil
import pytest
from harness import (
    SHORT,
    SPECIMEN,
    alive,
    children,
    finish,
    lines,
    planned_ids,
    run_bench,
    run_folders,
    start_bench,
    three_lines,
    until,
)

LONG = ("protocol.window_s=1.5", "protocol.trial_limit_s=60")


def expected_exit(tmp_path: Path) -> int:
    """4 when not a single trial could be measured, otherwise 0: a fault ends its trial and not the run."""
    return 4 if all(trial["status"] == "failed" for trial in lines(only_run(tmp_path))) else 0


def only_run(cwd: Path) -> Path:
    (folder,) = run_folders(cwd / "results")
    return folder


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["workload.fault=exit"], ["tenant0 exited with status 7", "last words: calibration: leaving with status 7"]),
        (["workload.fault=raise"], ["tenant0: RuntimeError: calibration: failing, as fault=raise asks"]),
        (["workload.fault=hang", "protocol.trial_limit_s=3"], ["tenant0 did not answer 'ready' within its limit"]),
        (
            ["workload.fault=allocate", f"isolation.process.memory_limit_bytes={256 * 2**20}"],
            ["tenant0: MemoryError"],
        ),
        (["workload.fault=garbage"], ["tenant0 sent something that is not the protocol", "this is not the protocol"]),
    ],
    ids=lambda value: value[0].split("=")[-1] if "=" in value[0] else "",
)
def test_a_tenant_that_misbehaves_fails_its_trial_and_no_other(
    tmp_path: Path, options: list[str], words: list[str]
) -> None:
    result = run_bench("run", *SPECIMEN, *SHORT, *options, "workload.fault_after_requests=20", "--json", cwd=tmp_path)
    assert result.returncode == expected_exit(tmp_path), result.stderr
    trials = lines(only_run(tmp_path))
    assert [trial["id"] for trial in trials] == planned_ids(only_run(tmp_path))
    for trial in trials:
        assert trial["status"] == "failed"
        assert [part for part in words if part not in trial["reason"]] == [], trial["reason"]
        assert "\n" not in trial["reason"]
        assert trial["throughput_per_s"] is None
    (row,) = json.loads(result.stdout)[0]["rows"]
    assert (row["valid"], row["measured"], row["throughput_per_s"]) == (0, 2, None)
    assert row["remarks"][0]["trials"] == 2


def test_a_neighbours_death_fails_the_trial_of_all(tmp_path: Path) -> None:
    result = run_bench(
        "run", *SPECIMEN, *SHORT, "workload.fault=exit", "workload.fault_after_requests=20",
        "partitions=[full,time_shared]", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == expected_exit(tmp_path), result.stderr
    assert {trial["status"] for trial in lines(only_run(tmp_path))} == {"failed"}


def test_a_specimen_that_drifts_is_not_steady(tmp_path: Path) -> None:
    result = run_bench("run", *SPECIMEN, *SHORT, "workload.fault=unsteady", "protocol.blocks=1", cwd=tmp_path)
    assert result.returncode == expected_exit(tmp_path), result.stderr
    (trial,) = lines(only_run(tmp_path))
    assert trial["status"] == "invalid"
    assert "not steady" in trial["reason"]
    assert trial["throughput_per_s"] > 0  # it was measured, and says so


def test_a_tenant_that_is_killed_is_told_of_with_its_signal(tmp_path: Path) -> None:
    process = start_bench("run", *SPECIMEN, *SHORT, *LONG, cwd=tmp_path)
    (tenant,) = until(lambda: children(process, "bench.measure.tenant"), "a tenant")
    tenant.kill()
    code, _, stderr = finish(process)
    assert code == expected_exit(tmp_path), stderr
    first, second = lines(only_run(tmp_path))
    assert (first["status"], first["reason"]) == ("failed", "tenant0 was killed by signal 9; it left no words")
    assert second["status"] != "failed"


def test_a_stopped_tenant_ends_with_its_limit(tmp_path: Path) -> None:
    process = start_bench("run", *SPECIMEN, *SHORT, "protocol.trial_limit_s=4", "protocol.blocks=1", cwd=tmp_path)
    (tenant,) = until(lambda: children(process, "bench.measure.tenant"), "a tenant")
    tenant.suspend()
    code, _, stderr = finish(process)
    assert code == expected_exit(tmp_path), stderr
    (trial,) = lines(only_run(tmp_path))
    assert trial["status"] == "failed"
    assert "within its limit" in trial["reason"]
    assert not alive([tenant])


def test_telemetry_that_is_killed_spoils_its_trial_and_is_back_for_the_next(tmp_path: Path) -> None:
    process = start_bench("run", *SPECIMEN, *SHORT, *LONG, cwd=tmp_path)
    until(lambda: children(process, "bench.measure.tenant"), "a tenant")
    time.sleep(0.8)  # its window lasts longer than that
    (sampler,) = until(lambda: children(process, "bench.telemetry.sampler"), "the telemetry process")
    sampler.kill()
    code, _, stderr = finish(process)
    assert code == expected_exit(tmp_path), stderr
    folder = only_run(tmp_path)
    first, second = lines(folder)
    assert first["status"] == "invalid"
    assert "telemetry lost" in first["reason"]
    assert "killed by signal 9" in first["reason"]
    assert "telemetry lost" not in (second["reason"] or "")
    assert second["telemetry"]["ticks"] >= 5
    assert [path.stem for path in (folder / "telemetry").iterdir()] == [second["id"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["while it measures", "early"])
def test_an_interrupted_run_says_how_to_go_on_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals, moment: str
) -> None:
    wanted = ("run", *SPECIMEN, *SHORT, "protocol.window_s=0.2", "protocol.blocks=3")
    process = start_bench(*wanted, cwd=tmp_path)
    if moment == "early":
        until(lambda: any((run / "plan.json").exists() for run in run_folders(tmp_path / "results")), "a plan")
    else:
        until(lambda: any((run / "trials.jsonl").exists() for run in run_folders(tmp_path / "results")), "a trial")
        until(lambda: children(process, "bench.measure.tenant"), "a tenant")
    left = children(process)
    process.send_signal(number)
    code, stdout, stderr = finish(process)
    assert code == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    folder = only_run(tmp_path)
    what, where, hint = three_lines("\n".join(stderr.splitlines()[-3:]))
    done = len(lines(folder)) if (folder / "trials.jsonl").exists() else 0
    assert what.startswith(f"bench: interrupted after {done} of 3 trials")
    assert str(folder) in where
    assert hint == f"  hint: bench run --resume {folder}"
    until(lambda: not alive(left), "the end of its processes", 5)

    result = run_bench("run", "--resume", str(folder), cwd=tmp_path)
    assert result.returncode == expected_exit(tmp_path), result.stderr
    assert [trial["id"] for trial in lines(folder)] == planned_ids(folder)


def test_one_signal_during_preparation_removes_what_was_half_built(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "slow.py").write_text(
        "import time\ndef factory():\n    time.sleep(60)\ndef inputs(batch_size, seed):\n    return {}\n"
    )
    process = start_bench(
        "run", "workload=python", "workload.model=callable", "workload.factory=slow:factory",
        "workload.inputs_factory=slow:inputs", "optimizations=[native]", *SHORT, "--config-dir", "mine",
        f"cache_dir={tmp_path / 'cache'}", cwd=tmp_path,
    )  # fmt: skip
    builders = until(lambda: children(process, "bench.measure.builder"), "a builder")
    process.send_signal(signal.SIGINT)
    code, _, stderr = finish(process)
    assert code == 130, stderr
    assert not alive(builders)
    assert not list((tmp_path / "cache").glob("*/artifact.json"))


def test_a_build_that_fails_is_recorded_and_the_others_run(tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "optimizations"
    mine.mkdir(parents=True)
    (mine.parent / "unbuildable.py").write_text(
        "from bench.contract import plugin\nfrom bench.runtimes.python_call import PythonCall\n\n"
        "@plugin\nclass Unbuildable(PythonCall):\n"
        "    def build(self, recipe, folder, batch_size, slot):\n        raise RuntimeError('no compiler here')\n"
    )
    (mine / "mine.yaml").write_text(
        "mine:\n  _target_: bench.contract.Optimization\n  expects: native\n"
        "  runtime: {_target_: unbuildable.Unbuildable}\n"
    )
    result = run_bench(
        "run", "workload=calibration", "optimizations=[native,mine]", *SHORT, "protocol.blocks=1",
        "--config-dir", "mine", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == expected_exit(tmp_path), result.stderr
    trials = {trial["optimization"]: trial for trial in lines(only_run(tmp_path))}
    assert trials["mine"]["status"] == "failed"
    assert "could not be built" in trials["mine"]["reason"]
    assert "no compiler here" in trials["mine"]["reason"]
    assert trials["native"]["status"] != "failed"


def test_a_runtime_that_lies_about_its_precision_is_invalid(tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "optimizations"
    mine.mkdir(parents=True)
    (mine / "pretended.yaml").write_text(
        "pretended:\n  _target_: bench.contract.Optimization\n  expects: int8\n"
        "  runtime: {_target_: bench.runtimes.python_call.PythonCall}\n"
    )
    result = run_bench(
        "run", "workload=calibration", "optimizations=[native,pretended]", *SHORT, "protocol.blocks=1",
        "--config-dir", "mine", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == expected_exit(tmp_path), result.stderr
    trials = {trial["optimization"]: trial for trial in lines(only_run(tmp_path))}
    assert trials["pretended"]["status"] == "invalid"
    assert "wrong precision executed: native, not int8" in trials["pretended"]["reason"]


PROOFS = {
    "half a surrogate": ("'\\ud800'", None),
    "20 MB": ("'x' * 20_000_000", "bytes, and 65536 are the limit"),
    "nested": ("__import__('json').loads('{\"a\":' * 500 + '1' + '}' * 500)", "a proof that cannot be stored"),
}


@pytest.mark.parametrize("kind", PROOFS)
def test_a_proof_that_nobody_could_store_ends_its_trial_at_most(tmp_path: Path, kind: str) -> None:
    value, words = PROOFS[kind]
    mine = tmp_path / "mine" / "optimizations"
    mine.mkdir(parents=True)
    (mine.parent / "odd.py").write_text(
        "from contextlib import contextmanager\n"
        "from bench.contract import Proof, plugin\nfrom bench.runtimes.python_call import PythonCall\n\n"
        "@plugin\nclass Odd(PythonCall):\n"
        "    @contextmanager\n    def load(self, recipe, folder, slot):\n"
        "        with PythonCall.load(self, recipe, folder, slot) as loaded:\n"
        f"            type(loaded).prove = lambda self, inputs: Proof('native', detail={{'s': {value}}})\n"
        "            yield loaded\n"
    )
    (mine / "mine.yaml").write_text(
        "mine:\n  _target_: bench.contract.Optimization\n  expects: native\n  runtime: {_target_: odd.Odd}\n"
    )
    result = run_bench(
        "run", "workload=calibration", "optimizations=[native,mine]", *SHORT, "protocol.blocks=1",
        "--config-dir", "mine", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == expected_exit(tmp_path), result.stderr
    trials = {trial["optimization"]: trial for trial in lines(only_run(tmp_path))}
    assert trials["native"]["status"] != "failed"
    if words is None:
        assert trials["mine"]["proof"]["detail"] == {"s": "?"}
    else:
        assert trials["mine"]["status"] == "failed"
        assert words in trials["mine"]["reason"]


def test_a_tenant_dies_with_a_conductor_that_is_killed(tmp_path: Path) -> None:
    process = start_bench("run", *SPECIMEN, *SHORT, "protocol.window_s=20", "protocol.window_limit_s=20",
                          "protocol.trial_limit_s=60", "partitions=[time_shared]", cwd=tmp_path)  # fmt: skip
    until(lambda: len(children(process, "bench.measure.tenant")) == 2, "two tenants")
    until(lambda: children(process, "bench.telemetry.sampler"), "the telemetry process")
    left = children(process)
    process.kill()
    process.wait()
    until(lambda: not alive(left), "the end of its processes", 10)


def test_children_of_a_tenant_end_with_their_trial(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "parent.py").write_text(
        "import subprocess\nfrom pathlib import Path\nimport time\nimport numpy as np\n\n"
        "def factory(folder):\n"
        "    child = subprocess.Popen(['sleep', '300'])\n"
        "    Path(folder, str(child.pid)).touch()\n"
        "    def model(arrays):\n        time.sleep(0.001)\n        return arrays['x']\n"
        "    return model, lambda batch_size, seed: {'x': np.zeros((batch_size, 2), dtype=np.float32)}\n"
    )
    (tmp_path / "pids").mkdir()
    result = run_bench(
        "run", "workload=python", "workload.model=callable", "workload.factory=parent:factory",
        f"workload.kwargs={{folder: {tmp_path / 'pids'}}}", "optimizations=[native]", *SHORT, "protocol.blocks=1",
        "--config-dir", "mine", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == expected_exit(tmp_path), result.stderr
    pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    assert len(pids) >= 2  # the builder's and the tenant's
    left = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert not [process for process in alive(left) if process.name() == "sleep"]
