"""Made-up cells of runs on GPUs and CPUs: nothing of it was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from bench.devices import catalog, geometry
from bench.devices.catalog import GpuModel
from bench.judge.recommend.deployment import Deployment
from bench.judge.recommend.service import Service
from bench.records import PlannedInstance

HOSTILE = (
    "a\nkind: Pod",
    "x\u2028y: z",
    "\x85- !!python/object",
    "'; rm -rf / #",
    "$(id)`id`",
    "\x1b[2J",
    "`\\",
    "é漢字",
)
IMAGE = "registry.example/team/resnet:1.4"
A100 = catalog.model("a100-40gb")
DIVIDED = tuple(model for model in catalog.models().values() if model.profiles)


def service(**fields: Any) -> Service:
    return Service.model_validate({"name": "resnet", "image": IMAGE, "health_path": "/health", **fields})


SERVICE = service()


def instances(wanted: str, model: GpuModel = A100) -> tuple[PlannedInstance, ...]:
    placed = geometry.place(geometry.parse(wanted, model.profiles))
    assert placed is not None, wanted
    return tuple(
        PlannedInstance(profile=place.profile.name, start=place.start, size=place.profile.size) for place in placed
    )


def gpu(division: str = "full", tenants: int = 1, wanted: str = "", model: GpuModel = A100, **more: Any) -> Deployment:
    return Deployment(
        **{
            "workload": "resnet50", "optimization": "fp16", "partition": division, "division": division,
            "device": model.product, "device_kind": "cuda", "tenants": tenants,
            "instances": instances(wanted, model) if wanted else (), "threads": 2,
            "peak_rss_bytes": 900 * 2**20, "product": model.product, "pci_device_id": model.pci_device_ids[0],
            "service": SERVICE, **more,
        }
    )  # fmt: skip


def cpu(division: str = "cpuset", tenants: int = 2, **more: Any) -> Deployment:
    plain = replace(gpu(tenants=tenants), device="a CPU", device_kind="cpu", product="", pci_device_id=None)
    return replace(plain, **{"division": division, "partition": division, **more})


WORDS = st.sampled_from(HOSTILE) | st.text(max_size=40)
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?", fullmatch=True)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[GpuModel, tuple[PlannedInstance, ...]]:
    """A model of the catalog, and instances that fit beside each other on it."""
    model = draw(st.sampled_from(DIVIDED))
    profiles = draw(st.lists(st.sampled_from(model.profiles), min_size=1, max_size=7))
    while (placed := geometry.place(profiles)) is None:
        profiles = profiles[:-1]
    return model, tuple(
        PlannedInstance(profile=place.profile.name, start=place.start, size=place.profile.size) for place in placed
    )


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    """Cells with words of strangers, as every form could meet them."""
    tenants = draw(st.integers(1, 7))
    runs = service(
        name=draw(NAMES),
        image=draw(st.sampled_from(("resnet:1.4", "registry.example:5000/a/b_c@sha256:" + "0" * 64))),
        command=draw(st.lists(WORDS.filter(lambda word: "\0" not in word), max_size=3)),
        port=draw(st.integers(1, 65000)),
        namespace=draw(NAMES),
        memory_gib=draw(st.none() | st.floats(1e-9, 1024)),
        user_id=draw(st.integers(1, 2**31 - 1)),
    )
    words: dict[str, Any] = {"workload": draw(WORDS), "optimization": draw(WORDS), "partition": draw(WORDS)}
    threads = draw(st.integers(1, 64))
    words |= {"threads": threads, "cores_used": draw(st.none() | st.floats(1e-9, 1e9))}
    words |= {"peak_rss_bytes": draw(st.integers(1, 2**42))}
    words |= {"devices": draw(st.integers(1, 12)), "per_s": draw(st.none() | st.floats(1e-9, 1e9))}
    division = draw(st.sampled_from(("full", "mig", "mps", "time_shared", "within", "cpuset", "cpu_shared")))
    if division in ("cpuset", "cpu_shared"):
        kind = division if division == "cpuset" else "time_shared"
        return cpu(kind, tenants, **words, service=runs)
    model, placed = draw(layouts())
    match division:
        case "full":
            return gpu("full", 1, model=model, **words, service=runs)
        case "mig":
            return gpu("mig", len(placed), model=model, **words, service=runs, instances=placed)
        case "mps":
            limit = draw(st.integers(1, 100 // max(2, tenants)))
            return gpu("mps", max(2, tenants), model=model, **words, service=runs, thread_percentage=limit)
    within = placed[:1] if division == "within" else ()
    return gpu("time_shared", tenants, model=model, **words, service=runs, instances=within)
