"""The nightly gate for cron: its script, on a repository, with a bench of which only the exit codes matter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import until
from nightly_stage import (
    MEASURED_NOTHING,
    NIGHTLY,
    TONIGHT,
    commit,
    executable,
    head,
    make_package,
    runs,
    stub,
    waiting,
)  # fmt: skip
from repositories import git

SCRIPT = NIGHTLY / "nightly.sh"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "package")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """What is on PATH before all else."""
    return tmp_path / "tools"


def start(package: Path, tools: Path, *options: str, **settings: str) -> subprocess.Popen[str]:
    env = {
        **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NIGHTS": str(tools.parent / "nights"), "PULL": "no",
        "LOCK": str(tools.parent / "lock"), **settings,
    }  # fmt: skip
    command = ["env", "--default-signal=INT", str(SCRIPT), str(package), *options]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def cron(package: Path, tools: Path, *options: str, **settings: str) -> tuple[int, str]:
    """Its exit code, and what cron would mail."""
    process = start(package, tools, *options, **settings)
    out, err = process.communicate(timeout=300)
    return process.returncode, out + err


def nights(tools: Path) -> list[str]:
    return sorted(path.name for path in (tools.parent / "nights").glob("*/"))


def last_good(tools: Path) -> str | None:
    path = tools.parent / "nights" / "last-good"
    return path.read_text().strip() if path.exists() else None


def night(tools: Path, name: str, measured: bool = True) -> Path:
    """One that is over."""
    folder = tools.parent / "nights" / name
    (folder / "a-run").mkdir(parents=True)
    if measured:
        (folder / "a-run" / "trials.jsonl").touch()
    return folder


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_script_is_one_that_shells_can_read(shell: str) -> None:
    assert subprocess.run([shell, "-n", str(SCRIPT)], check=False).returncode == 0


# --- which outcome, and what it says of the base ---


@pytest.mark.slow
def test_two_blocks_are_not_enough_evidence(package: Path, tools: Path) -> None:
    (package / "perf" / "tonight.yaml").write_text(
        TONIGHT.replace("blocks: 5, doublings: 2", "blocks: 2, doublings: 0")
    )
    commit(package, 0.022, "a tenth slower")
    executable(tools / "bench", f'#!/bin/sh\n[ "$1" = doctor ] || exec "{sys.executable}" -P -m bench "$@"\n')
    code, mail = cron(package, tools, BASE="HEAD~1", NIGHTS=str(tools.parent / "it's nights"))
    assert code == 4, mail
    assert mail.startswith("not enough evidence: ") and "native" in mail
    kept = tools.parent / "it's nights"
    assert len(list(kept.glob("*/*/trials.jsonl"))) == len(list(kept.glob("*/*.xml"))) == 1


def test_the_last_good_night_is_the_base(package: Path, tools: Path) -> None:
    good = head(package)
    calls = stub(tools, 0)
    code, mail = cron(package, tools)
    assert code == 0, mail
    assert mail.startswith("compared with itself: nothing is shown: ")
    assert last_good(tools) == good

    stub(tools, 1)
    commit(package, 0.022, "a tenth slower")
    code, mail = cron(package, tools)
    assert code == 1, mail
    assert mail.startswith("SLOWER: ") and f"against {good[:7]} it answers" in mail
    assert last_good(tools) == good
    assert [f"--against {good} " in line for line in runs(calls)] == [True, True]


@pytest.mark.parametrize("code", [1, 4, 3])
def test_no_other_night_is_good(package: Path, tools: Path, code: int) -> None:
    stub(tools, code)
    assert cron(package, tools)[0] == code
    assert last_good(tools) is None


def test_a_base_that_was_named_is_not_the_last_good_night(package: Path, tools: Path) -> None:
    stub(tools, 0)
    accepted = commit(package, 0.022, "a tenth slower, and accepted")
    code, mail = cron(package, tools, BASE="HEAD~1")
    assert (code, last_good(tools)) == (0, None) and mail.startswith("not slower: ")
    cron(package, tools, BASE="HEAD")
    assert last_good(tools) == accepted


def test_changes_that_are_in_no_commit_are_named_and_no_base(package: Path, tools: Path) -> None:
    stub(tools, 0)
    (package / "mypackage" / "models.py").write_text("# in no commit\n")
    code, mail = cron(package, tools)
    assert (code, last_good(tools)) == (0, None)
    assert mail.startswith("not slower: ") and "changes that are in no commit" in mail and "mypackage/models.py" in mail


def test_options_are_passed_on_and_it_pulls_when_told(package: Path, tools: Path) -> None:
    calls = stub(tools, 0)
    code, mail = cron(package, tools, "gpu=cuda", "workload.inputs={x: {shape: [4]}}", BASE="HEAD")
    assert code == 0, mail
    assert runs(calls)[0].endswith("gpu=cuda workload.inputs={x: {shape: [4]}}")

    clone = package.parent / "clone"
    git(package.parent, "clone", "--quiet", str(package), str(clone))
    newer = commit(package, 0.02, "newer")
    code, mail = cron(clone, tools, PULL="yes", NIGHTS=str(package.parent / "other-nights"))
    assert code == 0, mail
    assert head(clone) == newer


# --- 1 says slower, and nothing else may ---


@pytest.mark.parametrize("doctor", [1, 2, 70])
def test_a_bench_that_cannot_start_is_not_slower(package: Path, tools: Path, doctor: int) -> None:
    calls = stub(tools, 0, doctor=doctor)
    code, mail = cron(package, tools)
    assert (code, runs(calls)) == (max(doctor, 2), [])
    assert mail.startswith("not measured ")


@pytest.mark.parametrize("code", [0, 1, 4])
def test_there_is_no_outcome_without_a_run(package: Path, tools: Path, code: int) -> None:
    stub(tools, code, run=MEASURED_NOTHING)
    found, mail = cron(package, tools)
    assert (found, last_good(tools)) == (2, None)
    assert mail.startswith("not measured ") and "the words of bench" in mail


def test_a_script_that_fails_does_not_say_slower(package: Path, tools: Path) -> None:
    stub(tools, 0)
    occupied = package / "occupied"
    occupied.touch()
    code, mail = cron(package, tools, NIGHTS=str(occupied))
    assert code == 2 and "occupied" in mail
    executable(tools / "tee", "#!/bin/sh\ncat\nexit 1\n")  # the summary cannot be written, and is mailed
    code, mail = cron(package, tools)
    assert code == 2 and "all of it: " in mail and last_good(tools) is None
    stub(tools, 1)
    assert cron(package, tools, NIGHTS=str(package.parent / "others"))[0] == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"KEEP": "all"}, "KEEP is 'all'"), ({"BASE": "gone"}, "no commit of this repository"), ({"PULL": "yes"}, "pull")],
)
def test_it_says_what_is_wrong(package: Path, tools: Path, settings: dict[str, str], words: str) -> None:
    calls = stub(tools, 0)
    code, mail = cron(package, tools, **settings)
    assert code == 2
    assert words in mail
    assert not calls.exists() and last_good(tools) is None


# --- a night beside others, after others, and cut off ---


def test_it_refuses_to_run_beside_another_night(package: Path, tools: Path) -> None:
    calls = stub(tools, 0)
    lock = tools.parent / "lock"
    lock.touch()
    holder = subprocess.Popen(["flock", str(lock), "cat"], stdin=subprocess.PIPE)
    try:
        until(lambda: subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode, "the lock")
        code, mail = cron(package, tools)
        assert code == 75
        assert "another night is on gpu-0" in mail and "nothing was started" in mail
        assert not nights(tools) and not calls.exists()
    finally:
        holder.communicate()
    assert cron(package, tools)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_script_alone_ends_bench(package: Path, tools: Path, number: signal.Signals) -> None:
    started = waiting(tools)
    process = start(package, tools)
    until(started.exists, "measuring")
    process.send_signal(number)
    mail, err = process.communicate(timeout=20)
    assert process.returncode == 130, mail + err
    assert mail.startswith("interrupted: ") and last_good(tools) is None
    assert not started.exists()  # it was waited for


def test_the_last_nights_are_kept_and_nothing_else_is_touched(package: Path, tools: Path) -> None:
    stub(tools, 0)
    for name in ("20250101T020000Z-9", "20250102T020000Z-9", "20250103T020000Z-9", "mine", "2024-notes"):
        night(tools, name)
    code, mail = cron(package, tools, KEEP="2")
    assert code == 0, mail
    left = nights(tools)
    assert left[:2] == ["2024-notes", "20250103T020000Z-9"] and left[3:] == ["mine"] and len(left) == 4


def test_nights_that_measured_nothing_cost_no_measured_one(package: Path, tools: Path) -> None:
    stub(tools, 0)
    night(tools, "20250101T020000Z-9")
    night(tools, "20250102T020000Z-9", measured=False)
    long_ago = night(tools, "20250103T020000Z-9", measured=False)
    os.utime(long_ago, (0, 0))
    cron(package, tools, KEEP="2")
    assert nights(tools)[:-1] == ["20250101T020000Z-9", "20250102T020000Z-9"]


def test_room_is_made_before_it_is_needed(package: Path, tools: Path) -> None:
    """As on a full disk: tonight's folder cannot be made, and the next night's can."""
    for name in ("20250101T020000Z-9", "20250102T020000Z-9"):
        night(tools, name)
    executable(tools / "mkdir", '#!/bin/sh\n[ "$1" = -p ]\n')
    assert cron(package, tools, KEEP="2")[0] == 2
    assert nights(tools) == ["20250102T020000Z-9"]


def test_repositories_and_gpus_have_nights_of_their_own(package: Path, tools: Path) -> None:
    stub(tools, 0)
    other = make_package(tools.parent / "other")
    for repository, gpu in ((package, "gpu-0"), (other, "gpu-0"), (other, "gpu-1")):
        assert cron(repository, tools, NIGHTS="", HOME=str(tools.parent), GPU=gpu)[0] == 0
    kept = tools.parent / "bench-nights"
    assert sorted(path.name for path in kept.iterdir()) == ["other-gpu-0", "other-gpu-1", "package-gpu-0"]
    assert all((path / "last-good").is_file() for path in kept.iterdir())
