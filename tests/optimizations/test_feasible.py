"""Every option of `configs/optimizations/` on devices of every kind: feasible, or a reason of the right kind. What each
can do is asked as the conductor asks it; nothing executes on a GPU."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import metadata

import pytest

from bench import feasibility
from bench.contract import Device, Gpu, GpuAddress
from bench.devices.mig.layout import MigState
from workloads.glyphs import Glyphs

from .options import NAMES, option

TORCH_RUNTIMES = ("TorchEager", "TorchCompile", "TorchScript", "TorchCudaGraph")
IN_TORCH = [name for name in NAMES if type(option(name).runtime).__name__ in TORCH_RUNTIMES]


def gpu(name: str, capability: tuple[int, int], rehearsal: bool = False) -> Device:
    found = Gpu(
        address=GpuAddress("GPU-1"),
        pci_bus_id="0",
        pci_device_id=0,
        product=name,
        architecture="",
        compute_capability=capability,
        sm_count=100,
        virtualization="none",
        driver_version="580.1",
        compute_slices=0,
        profiles=(),
        mig=MigState(False, False, ()),
    )
    return Device("cuda", name, (0, 1), 2**30, rehearsal=rehearsal, gpu=found, host="a CPU")


CPU = Device("cpu", "a CPU", (0, 1), 2**30)
REHEARSED = gpu("NVIDIA A100", (8, 0), rehearsal=True)
A100, H100 = gpu("NVIDIA A100", (8, 0)), gpu("NVIDIA H100", (9, 0))
V100, T4, L4 = gpu("Tesla V100", (7, 0)), gpu("Tesla T4", (7, 5)), gpu("NVIDIA L4", (8, 9))

REASON = re.compile(
    r"needs an NVIDIA GPU|needs compute capability \d|needs .*not installed|only rehearsed|has no CUDA|ort_cuda"
    r"|of kind|no precision can be proved|no CUDA kernels"
)
ONLY_ON_GPUS = {"tf32", "cuda_graphs", "torch_compile_reduce_overhead", "fp8_torchao", "sparse_2to4"}
NEEDS_AMPERE = {
    "tf32", "bf16", "amp_bf16", "torch_compile_bf16", "int8_torchao", "int4wo_torchao", "sparse_2to4", "fp8_torchao",
}  # fmt: skip


@pytest.fixture(autouse=True)
def with_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torch had been installed with CUDA, and Triton with it."""
    versions = {"torch": "2.13.0+cu130"}
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or version(name))
    importable = feasibility.importable
    monkeypatch.setattr(feasibility, "importable", lambda name: name == "triton" or importable(name))
    monkeypatch.setenv("CC", "a compiler")


def reason(name: str, device: Device) -> str:
    return option(name).infeasible(Glyphs(), device) or ""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", [CPU, REHEARSED, V100, T4, A100, L4, H100], ids=lambda device: device.name)
def test_every_option_is_feasible_or_says_why_not(name: str, device: Device) -> None:
    told = reason(name, device)
    assert not told or REASON.search(told)
    assert "\n" not in told and not told.endswith(".")


@pytest.mark.parametrize("name", IN_TORCH)
def test_on_a_cpu_it_runs_or_says_that_it_needs_a_gpu(name: str) -> None:
    told = reason(name, CPU)
    if name == "torch_compile_max_autotune":
        assert "no precision can be proved" in told
    elif name in ONLY_ON_GPUS:
        assert "needs an NVIDIA GPU, and this device is a CPU" in told
    else:
        assert not told


@pytest.mark.parametrize("name", IN_TORCH)
def test_on_a_rehearsed_gpu_tenants_have_the_cpu(name: str) -> None:
    told = reason(name, REHEARSED)
    if name == "fp8_torchao":  # the real one would not execute it either
        assert "needs compute capability 8.9" in told
    elif name in ONLY_ON_GPUS | {"torch_compile_max_autotune"}:
        assert "executes on a GPU, and this one is only rehearsed" in told
    else:
        assert not told


@pytest.mark.parametrize("name", IN_TORCH)
@pytest.mark.parametrize("device", [V100, T4], ids=["V100", "T4"])
@pytest.mark.parametrize("rehearsal", [False, True], ids=["real", "rehearsed"])
def test_gpus_before_ampere_lack_some(name: str, device: Device, rehearsal: bool) -> None:
    told = reason(name, replace(device, rehearsal=rehearsal))
    if name in NEEDS_AMPERE:
        assert "needs compute capability 8." in told and device.name in told
    else:
        assert bool(told) is rehearsal & ("only rehearsed" in told)


@pytest.mark.parametrize("name", IN_TORCH)
def test_an_a100_lacks_fp8_alone(name: str) -> None:
    told = reason(name, A100)
    assert ("needs compute capability 8.9, and NVIDIA A100 has 8.0" in told) if name == "fp8_torchao" else not told


@pytest.mark.parametrize("name", IN_TORCH)
@pytest.mark.parametrize("device", [H100, L4], ids=["H100", "L4"])
def test_newer_gpus_have_all(name: str, device: Device) -> None:
    assert not reason(name, device)


@pytest.mark.parametrize("name", IN_TORCH)
def test_without_cuda_in_torch_nothing_runs_on_a_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "2.13.0+cpu")
    assert "the installed torch 2.13.0+cpu has no CUDA" in reason(name, H100)


def test_compiling_for_a_gpu_needs_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feasibility, "importable", lambda name: name != "triton")
    assert reason("torch_compile", H100) == "torch.compile on a GPU needs triton, which is not installed"
    assert not reason("torch_compile", CPU)


def test_compiling_for_a_gpu_needs_a_c_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"gcc"}
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name in found else None)
    monkeypatch.delenv("CC")
    assert not reason("torch_compile", H100)
    found.clear()
    told = "torch.compile on a GPU needs a C compiler: neither gcc nor clang is found, and CC names none"
    assert reason("torch_compile", H100) == told
    monkeypatch.setenv("CC", "/opt/cc")
    assert not reason("torch_compile", H100)
    monkeypatch.delenv("CC")
    assert not reason("torch_compile", replace(H100, rehearsal=True))  # the compiler is of the other machine


@pytest.mark.parametrize("name", ["ort_fp32", "int8_ort", "pruned_structured_ort", "distilled_ort"])
def test_what_executes_on_the_cpu_alone_can_be_rehearsed_and_not_run_on_a_gpu(name: str) -> None:
    assert not reason(name, CPU) and not reason(name, REHEARSED)
    assert "its CUDA provider: ort_cuda" in reason(name, H100)


def test_the_right_gpu_comes_before_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feasibility, "importable", lambda name: False)
    for name in (name for name in NAMES if name.startswith("tensorrt_")):
        assert "needs an NVIDIA GPU, and this device is a CPU" in reason(name, CPU)
        assert "needs compute capability" in reason(name, V100)
        assert "tensorrt, torch, which are not installed" in reason(name, H100)
    assert reason("fp32", CPU) == "it needs safetensors, torch, which are not installed"
    assert "ONNX Runtime's TensorRT provider needs an NVIDIA GPU" in reason("ort_tensorrt", CPU)


def test_without_torch_it_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_of(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", none_of)
    monkeypatch.setattr(feasibility, "importable", lambda name: name != "torch")
    assert reason("bf16", H100) == "it needs torch, which is not installed"


def test_triton_needs_tensor_cores() -> None:
    assert "needs compute capability 7.0" in reason("torch_compile", gpu("Tesla P100", (6, 0)))
