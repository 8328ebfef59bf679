"""Every mistake a user can make is answered in three lines: what, where, and what to do. Nothing is half started."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import Forked
from harness import SPECIMEN, measured, run_bench, run_folders, three_lines

GLYPHS = Path(__file__).parents[1] / "workloads" / "glyphs" / "weights.safetensors"
ONNX = ("workload=onnx", "optimizations=[ort_fp32]")
PYTHON = ("workload=python", "workload.model=callable", "optimizations=[native]")
OFFLINE = (*SPECIMEN, "scenario=offline")
MINE = ("--config-dir", "mine", *SPECIMEN)
RUN = "a-run"  # a finished run beside the other files

PLUGINS = {
    "notaplugin": "_target_: os.system\n  command: touch pwned",
    "nomodule": "_target_: no.such.Thing",
    "noclass": "_target_: plugin_of_mine.Thing",
    "failing": "_target_: failing_module.Thing",
    "unwritten": "_target_: unwritten_module.Thing",
    "abstract": "_target_: bench.contract.Optimization\n  expects: fp32\n  runtime: {_target_: bench.contract.Runtime}",
    "otherkind": "_target_: bench.partitions.full.Full",
    "broken": "[unclosed",
    "heavy": "_target_: bench.contract.Optimization\n  expects: fp32\n  runtime: {_target_: heavy_module.Heavy}",
}
MODULES = {
    "failing_module": "raise RuntimeError('my own fault')",
    "unwritten_module": "def (",
    "plugin_of_mine": "",
    "heavy_module": "import torch\nfrom bench.contract import Runtime, plugin\n\n"
    "@plugin\nclass Heavy(Runtime):\n    def load(self, recipe, folder, slot):\n        pass\n",
}

# What was typed, and what the answer must mention.
CASES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    # names
    (("workload=calibratoin",), ("no workload 'calibratoin'", "did you mean calibration?")),
    ((*SPECIMEN, "optimizations=[nativ]"), ("no optimization 'nativ'", "did you mean native?")),
    ((*SPECIMEN, "partitions=[full,cpuse]"), ("no partition 'cpuse'", "did you mean cpuset?")),
    ((*SPECIMEN, "scenario=ofline"), ("no scenario 'ofline'", "did you mean offline?")),
    ((*SPECIMEN, "protocol=smok"), ("no protocol 'smok'", "did you mean smoke?")),
    ((*SPECIMEN, "isolation=contianer"), ("no isolation 'contianer'", "container")),
    ((*SPECIMEN, "neighbours=[nosuch]"), ("no neighbour 'nosuch'", "alone")),
    ((*SPECIMEN, "neighbours=same,alone"), ("'neighbours=[same,alone]'",)),
    ((*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=[{workload: nosuch}]"), ("no workload 'nosuch'",)),
    ((*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=[{name: bert}]"), ("{workload: NAME}",)),
    ((*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=[{workload: glyphs}]"), ("none of its tenants",)),
    (
        (*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=[{workload: calibration, size: 3}]"),
        ("no option 'size'", "duration_ms"),
    ),
    (
        (*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=[{workload: calibration}]", "neighbours=[alone]"),
        ("names its tenants one by one", "'neighbours=[same]'"),
    ),
    ((*SPECIMEN, "telemetry=[nosuch]"), ("no telemetry 'nosuch'", "host")),
    ((*SPECIMEN, "gpu=rehearsal/a1000"), ("rehearsal/a1000", "auto, cpu")),
    ((*SPECIMEN, "gpu=rehearsal/a30-24gb", "gpu.faults={nosuch: 1}"), ("nosuch", "lost_at_call")),
    ((*SPECIMEN, "gpu=rehearsal/a30-24gb", "gpu.model=nosuch"), ("nosuch", "a30-24gb")),
    ((*SPECIMEN, "workloda=calibration"), ("no option 'workloda'", "did you mean workload?")),
    ((*SPECIMEN, "foo=1"), ("no option 'foo'", "results_dir")),
    ((*SPECIMEN, "+foo=1"), ("'foo'", "results_dir")),
    ((*SPECIMEN, "protocol.block=3"), ("no option 'protocol.block'", "did you mean protocol.blocks?")),
    ((*SPECIMEN, "+protocol.block=3"), ("no option 'protocol.block'", "blocks")),
    ((*SPECIMEN, "workload.duration=1"), ("no option 'workload.duration'", "workload.duration_ms")),
    ((*SPECIMEN, "partitions.cpuset.tenants=2"), ("'cpuset' is not among", "partitions=[full,cpuset]")),
    ((*SPECIMEN, "+workload.inputs=3"), ("no option 'workload.inputs'", "duration_ms")),
    # values
    ((*SPECIMEN, "protocol.blocks=many"), ("protocol.blocks", "whole number", "'many'")),
    ((*SPECIMEN, "protocol.blocks=2.5"), ("protocol.blocks", "whole number", "2.5")),
    ((*SPECIMEN, "protocol.blocks=null"), ("protocol.blocks", "whole number")),
    ((*SPECIMEN, "protocol.blocks=-1"), ("blocks is -1", "at least 1")),
    ((*SPECIMEN, "protocol.blocks=0"), ("blocks is 0", "at least 1")),
    ((*SPECIMEN, "protocol.min_requests=0"), ("min_requests is 0", "at least 1")),
    ((*SPECIMEN, "protocol.window_s=nan"), ("window_s is nan", "finite")),
    ((*SPECIMEN, "protocol.window_s=inf", "protocol.window_limit_s=inf"), ("window_s is inf", "finite")),
    ((*SPECIMEN, "protocol.build_limit_s=inf"), ("build_limit_s is inf", "finite")),
    ((*SPECIMEN, "protocol.window_s=1e12"), ("protocol.window_limit_s", "at least window_s")),
    ((*SPECIMEN, "protocol.trial_limit_s=0.01"), ("trial_limit_s is 0.01", "more than window_s")),
    ((*SPECIMEN, "protocol.warmup_min_s=-1"), ("warmup_min_s is -1.0", "0 or more")),
    ((*SPECIMEN, "seed=-1"), ("seed", "whole number of 0 or more", "-1")),
    ((*SPECIMEN, "seed=text"), ("seed", "'text'")),
    ((*SPECIMEN, "seed=1e40"), ("seed", "1e+40")),
    ((*SPECIMEN, "workload.duration_ms=nan"), ("workload.duration_ms", "finite", "nan")),
    ((*SPECIMEN, "workload.duration_ms=inf"), ("workload.duration_ms", "finite", "inf")),
    ((*SPECIMEN, "workload.duration_ms=-1"), ("workload.duration_ms", "greater than 0", "-1")),
    ((*SPECIMEN, "workload.duration_ms=1,-2"), ("workload.duration_ms", "greater than 0", "-2")),
    ((*SPECIMEN, "workload.fault=explode"), ("workload.fault", "'hang'", "'explode'")),
    ((*SPECIMEN, "isolation.process.memory_limit_bytes=1"), ("memory_limit_bytes", "67108864")),
    ((*SPECIMEN, "isolation.process.memory_limit_bytes=64MB"), ("memory_limit_bytes", "'64MB'")),
    ((*SPECIMEN, "gpu.kind=tpu"), ("'tpu'", "cpu")),
    ((*OFFLINE, "scenario.batch_size=0"), ("scenario.batch_size", "'best'", "not 0")),
    ((*OFFLINE, "scenario.batch_size=100000000"), ("scenario.batch_size", "65536")),
    ((*OFFLINE, "scenario.batch_size=big"), ("scenario.batch_size", "'best'", "'big'")),
    ((*OFFLINE, "scenario.candidates=[]"), ("scenario.candidates", "at least 1 item")),
    ((*OFFLINE, "scenario.batch_size=best", "scenario.candidates=[0]"), ("scenario.candidates.0", "not 0")),
    ((*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=two"), ("partitions.cpuset.tenants", "'two'")),
    ((*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=0"), ("partitions.cpuset.tenants", "not 0")),
    # brackets and commas
    ((*SPECIMEN, "partitions=full,cpuset"), ("a comma in partitions=", "'partitions=[full,cpuset]'")),
    (("workload=calibration", "optimizations=native,fp32"), ("a comma in", "'optimizations=[native,fp32]'")),
    ((*SPECIMEN, "partitions=[full"), ("partitions=[full", "name=value")),
    ((*SPECIMEN, "partitions=[]"), ("no partitions chosen", "partitions=[...]")),
    (("workload=calibration", "optimizations=[]"), ("no optimizations chosen", "optimizations=[...]")),
    ((*SPECIMEN, "workload=[calibration,glyphs]"), ("workload takes one option", "workload=NAME")),
    (("calibration",), ("calibration", "name=value")),
    (("=",), ("'='", "name=value")),
    ((*SPECIMEN, "~workload"), ("workload takes one option",)),
    ((*SPECIMEN, "results_dir=${oc.env:NO_SUCH_THING}"), ("NO_SUCH_THING",)),
    # what does not fit the rest
    ((*SPECIMEN, "only.cpuset=[native]"), ("only.cpuset", "'cpuset', which is not in this experiment", "full")),
    ((*SPECIMEN, "only.full=[fp32]"), ("only.full", "'fp32', which is not in this experiment", "native")),
    ((*SPECIMEN, "only.full=[]"), ("only.full", "only.full=[native]")),
    ((*SPECIMEN, "only.full=native"), ("only.full", "only.full=[native]")),
    ((*SPECIMEN, "only=full"), ("only=full", "only.full=[native]")),
    ((*SPECIMEN, "baseline=fp32"), ("baseline 'fp32' is not measured", "baseline=native")),
    # files
    (("workload=onnx",), ("workload.path has no value", "say workload.path=")),
    (("workload=python",), ("workload.factory has no value", "say workload.factory=")),
    ((*ONNX, "workload.path=nowhere.onnx"), ("nowhere.onnx does not exist", "workload.path")),
    ((*ONNX, "workload.path=."), ("is a folder", "workload.path")),
    ((*ONNX, "workload.path=text.onnx"), ("text.onnx", "workload.path")),
    ((*ONNX, "workload.path=cut.onnx"), ("cut.onnx", "workload.path")),
    ((*ONNX, "workload.path=empty.onnx"), ("empty.onnx", "workload.path")),
    ((*PYTHON, "workload.factory=no_such_module:f"), ("no_such_module", "workload.factory")),
    ((*PYTHON, "workload.factory=os:no_such_name"), ("no_such_name", "workload.factory")),
    (("workload.weights=nowhere.safetensors",), ("nowhere.safetensors", "shipped")),
    (("workload.weights=text.safetensors",), ("text.safetensors", "not a safetensors file")),
    (("workload.weights=cut.safetensors",), ("cut.safetensors", "cut off")),
    (("workload.weights=other.safetensors",), ("other.safetensors", "do not fit")),
    # folders
    ((*SPECIMEN, "results_dir=text.onnx"), ("cannot write results", "text.onnx", "results_dir=")),
    ((*SPECIMEN, "results_dir=text.onnx/deeper"), ("cannot write results", "text.onnx", "results_dir=")),
    ((*SPECIMEN, "results_dir=/proc/x"), ("cannot write results", "/proc/x", "results_dir=")),
    ((*SPECIMEN, "results_dir="), ("results_dir is ''", "results_dir=FOLDER")),
    ((*SPECIMEN, "cache_dir=text.onnx"), ("artifact cache", "text.onnx", "cache_dir=")),
    ((*SPECIMEN, "cache_dir=/proc/x"), ("artifact cache", "/proc/x", "cache_dir=")),
    (("--config-dir", "nowhere", *SPECIMEN), ("no config folder nowhere",)),
    (("--config-dir", "text.onnx", *SPECIMEN), ("no config folder text.onnx",)),
    (("--resume", "nowhere"), ("nowhere", "not a run")),
    (("--resume", "mine"), ("mine", "not a run")),
    (("--resume", ""), ("not a run",)),
    (("--resume", "mine", *SPECIMEN), ("takes no options", "leave the options out")),
    # plug-ins
    ((*MINE, "optimizations=[native,notaplugin]"), ("os.system is not a plug-in", "optimizations.notaplugin")),
    ((*MINE, "optimizations=[native,nomodule]"), ("no.such.Thing", "PYTHONPATH")),
    ((*MINE, "optimizations=[native,noclass]"), ("plugin_of_mine.Thing", "optimizations.noclass")),
    ((*MINE, "optimizations=[native,failing]"), ("failing_module", "my own fault")),
    ((*MINE, "optimizations=[native,unwritten]"), ("unwritten_module", "SyntaxError")),
    ((*MINE, "optimizations=[native,abstract]"), ("abstract class Runtime", "optimizations.abstract.runtime")),
    ((*MINE, "optimizations=[native,otherkind]"), ("optimizations.otherkind is no optimization",)),
    ((*MINE, "optimizations=[native,broken]"), ("broken.yaml, line",)),
    ((*MINE, "optimizations=[native,heavy]"), ("imports torch", "mine")),
]


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the cases name."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "text.onnx").write_text("this is no graph, and no folder either")
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "cut.onnx").write_bytes(_onnx()[:-20])
    weights = GLYPHS.read_bytes()
    (folder / "text.safetensors").write_text("these are no tensors at all")
    (folder / "cut.safetensors").write_bytes(weights[: len(weights) // 2])
    (folder / "other.safetensors").write_bytes(_safetensors())
    options = folder / "mine" / "optimizations"
    options.mkdir(parents=True)
    for name, text in PLUGINS.items():
        (options / f"{name}.yaml").write_text(f"{name}:\n  {text}\n")
    for name, text in MODULES.items():
        (folder / "mine" / f"{name}.py").write_text(text)
    return folder


def _onnx() -> bytes:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    return helper.make_model(graph).SerializeToString()


def _safetensors() -> bytes:
    header = json.dumps({"other.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


@pytest.mark.parametrize(("typed", "mentioned"), CASES, ids=[" ".join(typed[-1:]) for typed, _ in CASES])
def test_a_mistake_is_answered_in_three_lines(
    bench: Forked, here: Path, typed: tuple[str, ...], mentioned: tuple[str, ...]
) -> None:
    result = bench("run", *typed, cwd=here)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    what, _, _ = three_lines(result.stderr)
    assert len(what) < 160 + len(str(here)), "read it aloud"
    assert [words for words in mentioned if words not in result.stderr] == [], result.stderr
    assert not (here / "pwned").exists()
    assert run_folders(here / "results") == []  # found before anything was begun


@pytest.mark.parametrize(
    ("typed", "mentioned"),
    [
        (("workload=calibration",), ("kind torch", "optimizations=[native,...]")),
        (("workload=calibration", "optimizations=[fp32]"), ("fp32", "optimizations=[native,...]")),
        ((*SPECIMEN, "partitions=[mig_1of7,mps]"), ("mig_1of7", "mps", "NVIDIA", "bench doctor")),
        ((*SPECIMEN, "partitions=[cpuset]", "partitions.cpuset.tenants=200"), ("cpuset", "200 tenants")),
    ],
)
def test_what_cannot_run_here_has_its_own_exit_code(
    bench: Forked, here: Path, typed: tuple[str, ...], mentioned: tuple[str, ...]
) -> None:
    for verb in ("run", "plan"):
        result = bench(verb, *typed, cwd=here)
        assert result.returncode == 3, result.stderr
        assert result.stdout == ""
        three_lines(result.stderr)
        assert all(words in result.stderr for words in mentioned), result.stderr


@pytest.mark.parametrize("typed", [("dance",), (), ("run", "--dance"), ("list", "workload"), ("run", "--resume")])
def test_an_unknown_verb_or_flag_is_a_usage_error(bench: Forked, here: Path, typed: tuple[str, ...]) -> None:
    result = bench(*typed, cwd=here)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("usage: bench")


def test_debug_shows_the_traceback(bench: Forked, here: Path) -> None:
    result = bench("run", "--debug", "workload=calibratoin", cwd=here)
    assert "Traceback" in result.stderr
    assert "no workload 'calibratoin'" in result.stderr


@pytest.mark.parametrize(
    ("typed", "env", "mentioned"),
    [
        (("run", "workload=calibratoin"), {}, "did you mean calibration?"),
        (("run", *SPECIMEN, "results_dir=/proc/x"), {}, "/proc/x"),
        (("list",), {"BENCH_CONFIG_PATH": "/no/such/folder"}, "/no/such/folder"),
        (("run", *SPECIMEN), {"BENCH_CACHE_DIR": "/proc/x"}, "/proc/x"),
    ],
)
def test_a_process_of_its_own_answers_the_same(
    tmp_path: Path, typed: tuple[str, ...], env: dict[str, str], mentioned: str
) -> None:
    result = run_bench(*typed, cwd=tmp_path, env=env)
    assert (result.returncode, result.stdout) == (2, "")
    three_lines(result.stderr)
    assert mentioned in result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured("protocol.blocks=1", cwd=tmp_path_factory.mktemp("finished"))


DAMAGE = {
    "plan.json cut": ("plan.json", lambda text: text[: len(text) // 2]),
    "plan.json empty": ("plan.json", lambda text: ""),
    "plan.json of another kind": ("plan.json", lambda text: '{"workload": 3}'),
    "plan.json a list": ("plan.json", lambda text: "[]"),
    "run.json cut": ("run.json", lambda text: text[: len(text) // 2]),
    "run.json without overrides": ("run.json", lambda text: "{}"),
    "run.json a list": ("run.json", lambda text: "[]"),
    "run.json of another device": ("run.json", lambda text: text.replace('"name": "CPU', '"name": "TPU')),
    "run.json of another configuration": ("run.json", lambda text: text.replace('"blocks": 1', '"blocks": 7')),
    "trials.jsonl a bad line": ("trials.jsonl", lambda text: "no trial\n" + text),
    "trials.jsonl binary": ("trials.jsonl", lambda text: "\x00\x01\n"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_not_resumed_and_nothing_of_it_changed(
    bench: Forked, finished: Path, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / RUN
    shutil.copytree(finished, folder)
    name, change = DAMAGE[damage]
    (folder / name).write_text(change((folder / name).read_text()))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
    result = bench("run", "--resume", RUN, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    _, where, _ = three_lines(result.stderr)
    assert RUN in where
    assert {path: path.read_bytes() for path in before if path.exists()} == before


def test_a_finished_run_can_be_resumed_and_only_shown(bench: Forked, finished: Path) -> None:
    before = (finished / "trials.jsonl").read_bytes()
    result = bench("run", "--resume", str(finished), "--json", cwd=finished.parent)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)[0]["run"] == str(finished)
    assert (finished / "trials.jsonl").read_bytes() == before
