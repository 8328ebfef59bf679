"""`bench mig`, as people type it, on rehearsed GPUs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import Forked

A100 = "gpu=rehearsal/a100-40gb"


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    server = Forked()
    yield server
    server.close()


class Mig:
    """`bench mig` with a state folder of its own."""

    def __init__(self, bench: Forked, folder: Path) -> None:
        self._bench, self._folder = bench, folder

    def __call__(self, *arguments: str, gpu: str = A100) -> Any:
        result = self.raw(*arguments, "--json", gpu=gpu)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def raw(self, *arguments: str, gpu: str = A100) -> Any:
        return self._bench("mig", *arguments, gpu, cwd=self._folder, env={"BENCH_STATE_DIR": str(self._folder / "s")})


@pytest.fixture
def mig(bench: Forked, tmp_path: Path) -> Mig:
    return Mig(bench, tmp_path)


def test_status_plan_apply_restore(mig: Mig) -> None:
    assert mig("status")["mig"] is False
    plan = mig("plan", "1g,1g,2g,3g")
    assert [place["profile"] for place in plan["placements"]] == ["1g.5gb", "1g.5gb", "2g.10gb", "3g.20gb"]
    assert plan["commands"][0].startswith("nvidia-smi -i GPU-")
    assert mig("status")["mig"] is False, "a plan changes nothing"

    applied = mig("apply", "1g,1g,2g,3g")
    assert applied["changed"] and len(applied["devices"]) == 4 and applied["rehearsal"]
    assert not mig("apply", "3g,2g,2x1g")["changed"], "it is so already"
    status = mig("status")
    assert status["mig"] and all(instance["ours"] for instance in status["instances"])
    assert {device["uuid"] for i in status["instances"] for device in i["devices"]} == set(applied["devices"])

    assert mig("restore")["restored"]
    assert mig("status")["mig"] is False
    assert mig("restore")["restored"] is None


def test_the_present_layout_goes_out_as_a_mig_parted_file_and_comes_back(mig: Mig, tmp_path: Path) -> None:
    mig("apply", "3g,2g,2x1g")
    file = tmp_path / "now.yaml"
    file.write_text(mig.raw("export").stdout)
    mig("restore")
    assert len(mig("apply", "current", "--file", str(file))["devices"]) == 4
    mig("restore")


@pytest.mark.parametrize(
    ("arguments", "gpu", "code", "told"),
    [
        (["apply", "7x1g"], "gpu=rehearsal/a30-24gb", 2, "possible are 4 x 1g.6gb"),
        (["apply", "7x1g"], "gpu=rehearsal/v100-16gb", 3, "has no MIG"),
        (["apply", "8x1g"], A100, 2, "fit"),
        (["apply", "9g"], A100, 2, "1g.5gb"),
        (["apply"], A100, 2, "one layout"),
        (["status", "7x1g"], A100, 2, "no layout"),
        (["status"], "gpu=cpu", 3, "is no GPU"),
        (["status"], "workload=glyphs", 2, "gpu=... only"),
        (["status"], "gpu=rehearsal/a1000", 2, "did you mean"),
        (["apply", "x", "--file", "/nowhere.yaml"], A100, 2, "/nowhere.yaml"),
    ],
)
def test_what_cannot_be_is_told(mig: Mig, arguments: list[str], gpu: str, code: int, told: str) -> None:
    result = mig.raw(*arguments, gpu=gpu)
    assert result.returncode == code, result.stderr
    assert told in result.stderr
    assert "hint:" in result.stderr and "Traceback" not in result.stderr


def test_text_is_for_people(mig: Mig) -> None:
    mig("apply", "7x1g")
    text = mig.raw("status").stdout
    assert "MIG is on" in text and "(ours)" in text and "bench mig restore" in text and "rehearsal" in text
    assert "the layout is as it was" in mig.raw("restore").stdout
    assert "MIG is off" in mig.raw("status").stdout
