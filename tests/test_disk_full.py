"""A disk that is full ends a run with a hint; nothing finished is lost, and with space it goes on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import SHORT, SPECIMEN, lines, planned_ids, read_table, run_bench, run_folders, three_lines

MANY = ("protocol.blocks=12", "protocol.warmup_limit_s=0.05", "workload.duration_ms=0.01")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_ends_the_run_and_with_space_it_goes_on(small: Path, tmp_path: Path) -> None:
    result = run_bench("run", *SPECIMEN, *SHORT, *MANY, f"results_dir={small}", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    what, where, hint = three_lines("\n".join(result.stderr.splitlines()[-3:]))
    assert what == "bench: cannot write results: No space left on device"
    assert str(small) in where
    assert "--resume" in hint
    (folder,) = run_folders(small)

    finished = lines(folder)  # every line is whole
    assert 0 < len(finished) < len(planned_ids(folder))
    for trial in finished:
        assert read_table(folder / "samples" / f"{trial['id']}.parquet")

    again = run_bench("run", "--resume", str(folder), cwd=tmp_path)  # still full
    assert again.returncode == 2, again.stderr
    assert "No space left" in again.stderr
    assert lines(folder)[: len(finished)] == finished

    subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
    result = run_bench("run", "--resume", str(folder), "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert [trial["id"] for trial in lines(folder)] == planned_ids(folder)
    assert lines(folder)[: len(finished)] == finished
    assert not list(folder.rglob("*.tmp"))
    assert json.loads(result.stdout)[0]["rows"][0]["measured"] == 12


def test_a_disk_that_is_full_from_the_beginning(small: Path, tmp_path: Path) -> None:
    (small / "filler").write_bytes(bytes(250 * 1024))
    result = run_bench("run", *SPECIMEN, *SHORT, f"results_dir={small}", cwd=tmp_path)
    assert result.returncode == 2
    assert "No space left" in three_lines(result.stderr)[0]


def test_a_full_cache_is_an_error_with_a_hint(small: Path, tmp_path: Path) -> None:
    (small / "filler").write_bytes(bytes(256 * 1024 - 8192))
    (tmp_path / "mine" / "optimizations").mkdir(parents=True)
    (tmp_path / "mine" / "bulky.py").write_text(
        "from bench.contract import plugin\nfrom bench.runtimes.python_call import PythonCall\n\n"
        "@plugin\nclass Bulky(PythonCall):\n    def build(self, recipe, folder, batch_size, slot):\n"
        "        (folder / 'model').write_bytes(bytes(1_000_000))\n"
    )
    (tmp_path / "mine" / "optimizations" / "bulky.yaml").write_text(
        "bulky:\n  _target_: bench.contract.Optimization\n  expects: native\n  runtime: {_target_: bulky.Bulky}\n"
    )
    result = run_bench(
        "run", "workload=calibration", "optimizations=[native,bulky]", *SHORT, "protocol.blocks=1",
        f"cache_dir={small}", "--config-dir", "mine", cwd=tmp_path,
    )  # fmt: skip
    # Either the whole run ends so, or the optimization that does not fit is recorded as failed.
    assert "Traceback" not in result.stderr
    assert result.returncode in (0, 2)
    assert "No space left" in result.stderr
    assert not list(small.glob("*/model"))


def test_a_file_size_limit_is_told_like_a_full_disk(tmp_path: Path) -> None:
    """`ulimit -f`, as batch systems set it: the kernel answers a write with SIGXFSZ or EFBIG."""
    command = ["bash", "-c", 'ulimit -f 2; exec "$0" "$@"']
    from harness import BENCH

    result = subprocess.run(
        [*command, *BENCH, "run", *SPECIMEN, *SHORT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    what, _, _ = three_lines("\n".join(result.stderr.splitlines()[-3:]))
    assert "File too large" in what
