"""`bench recommend` as its users call it, on runs that were measured and on made-up ones."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from forked import Forked
from harness import three_lines
from made_up_runs import write
from recommended_runs import a100

REPOSITORY = Path(__file__).parents[1]
GLYPHS = str(REPOSITORY / "results/reference/glyphs-cpu")


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


def needing(folder: Path, **fields: Any) -> str:
    (folder / "need.yaml").write_text(yaml.safe_dump(fields))
    return "need.yaml"


def test_the_reference_run_is_recommended_from(bench: Forked, tmp_path: Path) -> None:
    need = str(REPOSITORY / "examples/need.yaml")
    found = bench("recommend", GLYPHS, "--need", need, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("Deploy int8_ort on ")
    told = " ".join(found.stdout.split())
    for words in (
        "plan with at most",
        "cost of a million inferences",
        "energy of an inference not measured",
        "It does not apply here: it speaks of GPUs",
        "it says nothing about a GPU",
    ):
        assert words in told
    (page,) = (tmp_path / "reports").iterdir()
    assert page.name == "recommendation-glyphs-cpu.html" and str(Path("reports") / page.name) in found.stderr


def test_without_p99_it_says_what_to_measure_and_that_can_be_planned(bench: Forked, tmp_path: Path) -> None:
    need = needing(tmp_path, p99_ms=2, tenants=2, quality_loss_below=0.01)
    found = bench("recommend", GLYPHS, "--need", need, "--json", cwd=tmp_path)
    content = json.loads(found.stdout)
    assert found.returncode == 4 and content["recommended"] is None and content["only_lacks_evidence"]
    (suggested,) = content["to_measure"]
    assert 10 * 60 < suggested["lasts_s"] < 30 * 60
    words = shlex.split(suggested["command"])
    assert words[:2] == ["bench", "run"] and "protocol=publish" in words
    planned = bench("plan", *words[2:], "gpu=cpu", "--json", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    cells = {(trial["partition"], trial["optimization"]) for trial in json.loads(planned.stdout)["trials"]}
    assert cells >= {(partition, name) for partition in ("cpuset", "time_shared") for name in ("fp32", "int8_ort")}


def test_what_certainly_fails_is_a_failed_gate(bench: Forked, tmp_path: Path) -> None:
    found = bench("recommend", GLYPHS, "--need", needing(tmp_path, tenants=64), cwd=tmp_path)
    assert found.returncode == 1 and found.stdout.startswith("Nothing measured satisfies this need")
    assert "partitions.time_shared.tenants=64" in found.stdout


def test_a_rehearsal_and_mistakes_are_three_lines(bench: Forked, tmp_path: Path) -> None:
    write(a100(rehearsal=True), tmp_path / "results" / "rehearsed")
    need = needing(tmp_path, tenants=2)
    found = bench("recommend", "--need", need, cwd=tmp_path)
    assert found.returncode == 2 and "no recommendation is ever drawn from one" in three_lines(found.stderr)[0]
    found = bench("recommend", "nowhere", "--need", need, cwd=tmp_path)
    assert found.returncode == 2 and "there is no nowhere" in three_lines(found.stderr)[0]
    found = bench("recommend", GLYPHS, "--need", needing(tmp_path, tenant=2), cwd=tmp_path)
    assert found.returncode == 2 and three_lines(found.stderr)[2].strip() == "hint: did you mean tenants?"
    assert not (tmp_path / "reports").exists()


def test_a_rehearsal_among_others_is_set_aside(bench: Forked, tmp_path: Path) -> None:
    write(a100(rehearsal=True, name="rehearsed"), tmp_path / "results" / "rehearsed")
    write(a100(), tmp_path / "results" / "a100")
    found = bench("recommend", "results", "--need", needing(tmp_path, p99_ms=10), "--json", cwd=tmp_path)
    assert found.returncode == 0 and json.loads(found.stdout)["runs"] == ["a100"]
    assert "set aside: rehearsed is a rehearsal" in found.stderr


def test_a_damaged_run_in_a_folder_does_not_stop_the_others(bench: Forked, tmp_path: Path) -> None:
    write(a100(name="damaged"), tmp_path / "results" / "damaged")
    (tmp_path / "results" / "damaged" / "plan.json").write_text("{")
    need = needing(tmp_path, p99_ms=10)
    found = bench("recommend", "results", "--need", need, cwd=tmp_path)
    assert found.returncode == 2 and "none of these runs can be read" in found.stderr
    write(a100(), tmp_path / "results" / "a100")
    found = bench("recommend", "results", "--need", need, "--json", cwd=tmp_path)
    assert found.returncode == 0 and json.loads(found.stdout)["runs"] == ["a100"]
    assert "set aside: damaged: " in found.stderr
    found = bench("recommend", "results/damaged", "--need", need, cwd=tmp_path)
    assert found.returncode == 2 and "damaged" in found.stderr


@pytest.mark.parametrize("form", ["mig-parted", "kubernetes"])
def test_what_deploys_it_is_all_of_standard_output(bench: Forked, tmp_path: Path, form: str) -> None:
    write(a100(), tmp_path / "results" / "a100")
    deploy = {"name": "specimen", "image": "registry.example.com/specimen:1"}
    need = needing(tmp_path, p99_ms=10, deploy=deploy)
    found = bench("recommend", "--need", need, "--emit", form, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert list(yaml.safe_load_all(found.stdout)) and "Deploy pruned on mig_1of7" in found.stderr
    content = json.loads(bench("recommend", "--need", need, "--emit", form, "--json", cwd=tmp_path).stdout)
    assert content["emitted"] == found.stdout


def test_what_is_deployed_serves_all_that_is_asked_for(bench: Forked, tmp_path: Path) -> None:
    need = str(REPOSITORY / "examples/need.yaml")
    answer = json.loads(bench("recommend", GLYPHS, "--need", need, "--json", cwd=tmp_path).stdout)
    found = bench("recommend", GLYPHS, "--need", need, "--emit", "kubernetes", cwd=tmp_path)
    (deployment,) = (tree for tree in yaml.safe_load_all(found.stdout) if tree["kind"] == "Deployment")
    assert answer["devices"] * answer["plan_per_s"] >= 20_000 and answer["devices"] > 1
    assert deployment["spec"]["replicas"] == answer["devices"] * answer["recommended"]["tenants"]


def test_the_page_is_there_where_a_form_cannot_express_what_is_recommended(bench: Forked, tmp_path: Path) -> None:
    need = needing(tmp_path, quality_loss_below=0.01)
    found = bench("recommend", GLYPHS, "--need", need, "--emit", "mig-parted", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (3, "") and "is a CPU" in found.stderr
    assert [page.name for page in (tmp_path / "reports").iterdir()] == ["recommendation-glyphs-cpu.html"]
    assert "all of it, with reasons: reports/recommendation-glyphs-cpu.html" in found.stderr


def test_nothing_is_emitted_where_nothing_is_recommended(bench: Forked, tmp_path: Path) -> None:
    need = needing(tmp_path, p99_ms=2, tenants=2)
    found = bench("recommend", GLYPHS, "--need", need, "--emit", "docker", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (4, "") and "Measure more before you deploy" in found.stderr
    assert "nothing is emitted for docker" in found.stderr and "bench run 'partitions=" in found.stderr
