"""`bench run --against`: two versions in the same blocks, by the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness import SHORT, SPECIMEN, UNWATCHED, run_bench
from hypothesis import example, given, settings
from hypothesis import strategies as st
from repositories import git

from bench.composition import compose_all
from bench.errors import ConfigError, InputError
from bench.stored import read_run
from bench.verbs.against import _quoted, options

MODEL = """
import time
from mine.work import DURATION_S
def make():
    def call(inputs):
        time.sleep(DURATION_S)  # other work on the machine does not slow it down
        return inputs["x"]
    return call
"""
NETWORK = """
from torch import nn
from mine import work
def make():
    return nn.Linear(4, getattr(work, "WIDTH", 64))
"""
MINE = (
    "workload=python", "workload.factory=mine.models:make", "workload.model=callable",
    "workload.inputs={x: {shape: [1]}}", "optimizations=[native]",
)  # fmt: skip
QUICK = (
    "protocol.blocks=5", "protocol.doublings=0", "protocol.window_s=0.2", "protocol.min_requests=5",
    "protocol.warmup_min_s=0.05", "protocol.trial_limit_s=30",
)  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package whose working tree takes 10 % longer than its last commit, in a module that the model's imports."""
    root = tmp_path / "project"
    (root / "src" / "mine").mkdir(parents=True)
    git(root.parent, "init", "-q", str(root))
    (root / "src" / "mine" / "__init__.py").write_text("")
    (root / "src" / "mine" / "models.py").write_text(MODEL)
    (root / "src" / "mine" / "work.py").write_text("DURATION_S = 0.0050\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "before")
    (root / "src" / "mine" / "work.py").write_text("DURATION_S = 0.0055\n")
    return root


def against(project: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = run_bench("run", "--json", *MINE, *QUICK, *UNWATCHED, *arguments, cwd=project, env={"PYTHONPATH": "src"})
    assert done.returncode in (0, 1, 4), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_slower_working_tree_is_found_and_told(project: Path) -> None:
    code, (told,) = against(project, "--against", "HEAD")
    (outcome,) = told["comparison"]
    assert (code, told["gate"], outcome["outcome"]) == (1, 1, "regressed"), outcome
    assert outcome["ratio"]["estimate"] == pytest.approx(1 / 1.1, rel=0.02)
    run = read_run(project / told["run"])
    assert run.plan.against == {"against_commit": "process"}
    assert run.description["fingerprint"]["project_commit"].endswith("-dirty")
    older = [trial for trial in run.trials if trial.isolation == "against_commit"]
    assert {trial.confinement["version"]["commit"] for trial in older} == {git(project, "rev-parse", "HEAD").strip()}
    again = run_bench("compare", "--json", told["run"], cwd=project)
    assert (again.returncode, json.loads(again.stdout)) == (1, told["comparison"])


def test_the_same_version_is_not_slower(project: Path) -> None:
    git(project, "commit", "-qam", "slower")
    code, (told,) = against(project, "--against", "HEAD", "thresholds.throughput=0.1", "protocol.blocks=8")
    assert [outcome["outcome"] for outcome in told["comparison"]] == ["not_regressed"], told["comparison"]
    assert code == 0


def test_two_blocks_are_not_enough(project: Path) -> None:
    code, (told,) = against(project, "--against", "HEAD", "protocol.blocks=2")
    assert [outcome["outcome"] for outcome in told["comparison"]] == ["not_enough_evidence"]
    assert code == 4


def test_what_does_not_import_the_version_is_never_compared(project: Path) -> None:
    done = run_bench("run", "--against", "HEAD", *SPECIMEN, *SHORT, *UNWATCHED, cwd=project)
    assert done.returncode == 4
    assert "nothing of commit" in done.stderr


def test_a_copy_that_is_installed_is_not_taken_for_the_working_tree(project: Path, tmp_path: Path) -> None:
    """Of the newer side, too: nobody would have measured what is checked out."""
    installed = tmp_path / "lib" / "site-packages"
    shutil.copytree(project / "src" / "mine", installed / "mine")
    done = run_bench(
        "run", "--against", "HEAD", *MINE, *SHORT, *UNWATCHED, cwd=project, env={"PYTHONPATH": str(installed)}
    )
    assert done.returncode == 4
    assert "mine was imported from" in done.stderr and "the working tree has it in" in done.stderr, done.stderr


@pytest.mark.slow
def test_an_exported_model_is_compared_though_its_tenants_import_nothing(project: Path) -> None:
    pytest.importorskip("onnxruntime")
    (project / "src" / "mine" / "models.py").write_text(NETWORK)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "a network")
    (project / "src" / "mine" / "work.py").write_text("WIDTH = 8\n")
    arguments = ["workload=python", "workload.factory=mine.models:make", "workload.inputs={input: {shape: [4]}}"]
    done = run_bench(
        "run", "--json", "--against", "HEAD", *arguments, "optimizations=[fp32,ort_fp32]", *SHORT, *UNWATCHED,
        cwd=project, env={"PYTHONPATH": "src"}, limit_s=300,
    )  # fmt: skip
    (told,) = json.loads(done.stdout)
    run = read_run(project / told["run"])
    assert {trial.status for trial in run.trials} <= {"ok", "invalid"}, [trial.reason for trial in run.trials]
    sizes = {(t.isolation, t.artifact["id"]) for t in run.trials if t.optimization == "ort_fp32"}
    assert len(sizes) == 2, "each version has an artifact of its own"


def test_an_interrupted_run_pins_its_revision(project: Path) -> None:
    """HEAD is another commit by the time that the run is taken up again."""
    first = git(project, "rev-parse", "HEAD").strip()
    code, (told,) = against(project, "--against", "HEAD", "protocol.blocks=2")
    assert code == 4
    assert f"isolation.against_commit.revision='{first}'" in read_run(project / told["run"]).description["overrides"]
    refused = run_bench("run", "--resume", told["run"], "--against", "HEAD", cwd=project)
    assert refused.returncode == 2
    assert "takes no options" in refused.stderr


# --- in the words of options ------------------------------------------------------------------------------------------


def test_every_form_of_a_version(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    file = tmp_path / "it's.whl"
    file.write_text("")
    head = git(project, "rev-parse", "HEAD").strip()
    assert options("HEAD", ["workload=glyphs"]) == [
        "workload=glyphs", "claims=[]", "protocol.noise_floor=false", "isolation=[process,against_commit]",
        f"isolation.against_commit.revision='{head}'", f"isolation.against_commit.repository='{project}'",
        "isolation.process._target_=bench.isolation.versions.commit.WorkingTree",
        f"+isolation.process.repository='{project}'",
    ]  # fmt: skip
    quoted = str(file).replace("'", "\\'")
    assert options(f"wheel:{file}", [])[-1] == f"isolation.against_package.requirement='{quoted}'"
    assert options("package:mine==1.2", [])[-1] == "isolation.against_package.requirement='mine==1.2'"
    assert options(f"python:{file}", [])[-1] == f"isolation.against_python.python='{quoted}'"
    assert options("image:slim", ["isolation=container"])[-2:] == [
        "isolation=[container,against_image]", "isolation.against_image.image='slim'",
    ]  # fmt: skip


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example("it's ${a} \\' \\\\ C:\\x\\")
@settings(max_examples=15)  # each composes a configuration
def test_any_path_is_read_as_it_is(path: str) -> None:
    (composed,) = compose_all([f"results_dir={_quoted(path)}", "claims=[]"], ())
    assert composed.config["results_dir"] == path


def test_what_is_asked_for_stays() -> None:
    assert options("package:a==1", ["claims=[pruning]", "protocol.noise_floor=true"])[:3] == [
        "claims=[pruning]", "protocol.noise_floor=true", "isolation=[process,against_package]",
    ]  # fmt: skip


def test_what_a_configuration_says_is_kept_or_refused(tmp_path: Path) -> None:
    """Not only what the command line says."""
    tonight = tmp_path / "tonight.yaml"
    tonight.write_text("# tonight\ndefaults: [config, override claims: [pruning], override protocol: smoke, _self_]\n")
    said = options("package:a==1", [], (tmp_path,), "tonight")
    assert said[:1] == ["isolation=[process,against_package]"], "claims are chosen, and smoke has no noise floor"
    tonight.write_text("# tonight\ndefaults: [config, override isolation: [container], _self_]\n")
    with pytest.raises(ConfigError, match="isolation is container"):
        options("package:a==1", [], (tmp_path,), "tonight")
    assert "isolation=[container,against_image]" in options("image:slim", [], (tmp_path,), "tonight")


def test_claims_that_a_configuration_chooses_are_the_claims(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("# mine\ndefaults: [config, override claims: [pruning], _self_]\n")
    (composed,) = compose_all([], (tmp_path,), "mine")
    assert list(composed.config["claims"]) == ["pruning"]
    (tmp_path / "mine.yaml").write_text("# mine\ndefaults: [config, _self_]\n")
    (composed,) = compose_all([], (tmp_path,), "mine")
    assert len(composed.config["claims"]) > 20


@pytest.mark.parametrize(
    ("version", "given"),
    [("package:", []), ("wheel:/nowhere.whl", []), ("image:slim", ["isolation=process"]),
     ("package:a==1", ["isolation=container"])],
)  # fmt: skip
def test_versions_that_cannot_be(version: str, given: list[str]) -> None:
    with pytest.raises(ConfigError):
        options(version, given)


def test_a_revision_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        options("HEAD", [])
