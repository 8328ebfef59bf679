"""The conductor never imports what tenants execute, and `--help` imports next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from harness import SHORT, SPECIMEN

HEAVY = ("torch", "onnxruntime", "transformers", "scipy.stats", "pandas", "torchao", "onnxscript", "sklearn")
CODE = """
import json, sys
from bench.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as ended:
    code = ended.code
print(json.dumps([code, sorted(set(json.loads(sys.argv[2])) & set(sys.modules))]), file=sys.stderr)
"""


def loaded(cwd: Path, *arguments: str, among: tuple[str, ...] = HEAVY) -> list[str]:
    """Which of these modules a whole `bench <arguments>` imports."""
    result = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(arguments), json.dumps(among)],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    code, found = json.loads(result.stderr.splitlines()[-1])
    assert code in (0, None), result.stderr
    return list(found)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", *SPECIMEN, *SHORT, "protocol.blocks=1", "partitions=[full,cpuset]"),
        ("plan", "partitions=[full,time_shared]"),
        ("plan", "workload=resnet50,vit_b16,distilbert"),
        ("list",),
        ("doctor",),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_verb_imports_anything_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert loaded(tmp_path, *arguments) == []


def test_help_imports_neither_hydra_nor_numpy(tmp_path: Path) -> None:
    among = ("hydra", "omegaconf", "numpy", "pydantic", "rich", "psutil", "pyarrow")
    for arguments in (("--help",), ("run", "--help"), ("--version",)):
        assert loaded(tmp_path, *arguments, among=among) == []


def test_tables_are_imported_only_to_write_them(tmp_path: Path) -> None:
    assert loaded(tmp_path, "plan", *SPECIMEN, among=("pyarrow",)) == []
