"""Files for NVIDIA's mig-parted and device plugin, by their formats and by our own reader."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from made_up_deployments import DIVIDED, cpu, deployments, gpu, layouts

from bench.devices import geometry
from bench.devices.mig import parted
from bench.emit import mig_parted
from bench.emit.forms import FORMS, emit
from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.deployment import Deployment
from bench.records import PlannedInstance

SCHEMAS = Path(__file__).parent / "schemas"
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def written(form: str, deployment: Deployment) -> Any:
    """What is in the file, valid by the schema."""
    tree = yaml.safe_load(emit(form, deployment))
    schema = json.loads((SCHEMAS / f"{form}-v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(tree, schema)
    return tree


@settings(max_examples=25)
@given(deployments())
def test_every_cell_of_a_gpu_makes_files_that_are_taken(deployment: Deployment) -> None:
    for form in ("mig-parted", "device-plugin"):
        if deployment.device_kind == "cpu":
            with pytest.raises(InfeasibleHere, match="is a CPU"):
                emit(form, deployment)
        else:
            written(form, deployment)


@settings(max_examples=50)
@given(drawn=layouts())
def test_mig_parted_reads_the_layout_that_was_measured(tmp_path_factory: pytest.TempPathFactory, drawn: Any) -> None:
    model, placed = drawn
    deployment = gpu("mig", len(placed), model=model, instances=placed)
    written("mig-parted", deployment)
    path = tmp_path_factory.getbasetemp() / "layout.yaml"
    path.write_text(emit("mig-parted", deployment), encoding="utf-8")
    configs = parted.read(path)
    label, off = configs.labels
    assert off == mig_parted.OFF
    assert LABEL_VALUE.fullmatch(label), "it is the value of a node's label, too"
    assert f"-c {label}\n" in path.read_text(encoding="utf-8"), "the command in its head names it"
    wanted = parted.choose(configs, label, model.pci_device_ids[0], 3)
    assert wanted.mig_enabled and Counter(dict(wanted.profiles)) == Counter(i.profile for i in placed)
    assert geometry.place(geometry.parse(wanted.texts, model.profiles)) is not None


def test_labels_of_all_layouts_are_short_enough() -> None:
    for model in DIVIDED:
        every = [profile for profile in model.profiles if profile.compute_slices == 1]
        placed = geometry.place(every[:4])
        assert placed is not None
        whole = tuple(PlannedInstance(profile=p.profile.name, start=p.start, size=p.profile.size) for p in placed)
        assert len(mig_parted.label(gpu("mig", len(whole), model=model, instances=whole))) <= 63


def test_where_the_whole_gpu_is_used_mig_is_off() -> None:
    for deployment in (gpu(), gpu("time_shared", 2), gpu("mps", 2, thread_percentage=50)):
        assert written("mig-parted", deployment)["mig-configs"] == {
            "bench-mig-off": [{"device-filter": ["0x20B010DE"], "devices": "all", "mig-enabled": False}],
            "all-disabled": [{"devices": "all", "mig-enabled": False}],
        }
    (entry,) = written("mig-parted", gpu("mig", 2, "2x3g", pci_device_id=None))["mig-configs"]["bench-2x3g.20gb"]
    assert entry == {"devices": "all", "mig-enabled": True, "mig-devices": {"3g.20gb": 2}}


def test_the_way_back_that_the_gpu_operator_takes_for_nodes_without_a_label(tmp_path: Path) -> None:
    path = tmp_path / "layout.yaml"
    path.write_text(emit("mig-parted", gpu("mig", 7, "7x1g")), encoding="utf-8")
    configs = parted.read(path)
    for model in DIVIDED:
        off = parted.choose(configs, "all-disabled", model.pci_device_ids[0], 0)
        assert not off.mig_enabled, "on every GPU, whatever the layout's own filter"


def test_a_slice_that_tenants_share_is_laid_out_once() -> None:
    tree = written("mig-parted", gpu("time_shared", 4, "3g"))
    assert tree["mig-configs"]["bench-3g.20gb"][0]["mig-devices"] == {"3g.20gb": 1}
    assert written("mig-parted", gpu("mps", 4, "3g")) == tree, "whoever shares it"


def slice_at(profile: str, start: int, size: int) -> PlannedInstance:
    return PlannedInstance(profile=profile, start=start, size=size)


@pytest.mark.parametrize(
    ("deployment", "reason"),
    [
        (cpu(), "is a CPU"),
        (gpu("green_context", 2), "made by the program"),
        (gpu("mig", 2, instances=(slice_at("3g.20gb", 0, 4), slice_at("3g.20gb", 2, 4))), "overlap"),
        (gpu("mig", 1, instances=(slice_at("6g.20gb", 0, 4),)), "no MIG profile"),
        (gpu("mig", 1, instances=(slice_at("x\ny", 0, 1),)), "no GPU instance's profile"),
        (gpu("mig", 1, instances=(slice_at("1c.3g.20gb", 0, 4),)), "no GPU instance's profile"),
        (gpu("mig", 2, instances=(slice_at("4g.20gb", 0, 1), slice_at("4g.20gb", 4, 1))), "does not fit"),
    ],
)
def test_layouts_that_no_gpu_can_have(deployment: Deployment, reason: str) -> None:
    with pytest.raises(InfeasibleHere, match=reason):
        emit("mig-parted", deployment)


def test_the_names_of_another_driver_are_kept() -> None:
    (entry,) = written("mig-parted", gpu("mig", 1, instances=(slice_at("3g.19gb", 0, 4),)))["mig-configs"][
        "bench-3g.19gb"
    ]
    assert entry["mig-devices"] == {"3g.19gb": 1}


def test_the_device_plugin_shares_as_measured() -> None:
    assert written("device-plugin", gpu()) == {"version": "v1", "flags": {"migStrategy": "none"}}
    assert written("device-plugin", gpu("mig", 7, "7x1g")) == {"version": "v1", "flags": {"migStrategy": "mixed"}}
    shared = {"renameByDefault": True, "failRequestsGreaterThanOne": True}
    assert written("device-plugin", gpu("mps", 4, thread_percentage=25))["sharing"] == {
        "mps": {**shared, "resources": [{"name": "nvidia.com/gpu", "replicas": 4}]}
    }
    within = written("device-plugin", gpu("time_shared", 3, "2g"))
    assert within["flags"] == {"migStrategy": "mixed"}
    assert within["sharing"] == {
        "timeSlicing": {**shared, "resources": [{"name": "nvidia.com/mig-2g.10gb", "replicas": 3}]}
    }


def test_only_nodes_with_the_label_are_shared() -> None:
    text = emit("device-plugin", gpu("time_shared", 4))
    assert "config.default=default" in text and "'config.map.default=version: v1'" in text
    assert "kubectl label node NODE --overwrite nvidia.com/device-plugin.config=bench" in text
    assert "--reset-then-reuse-values" in text, "what a release was told before is kept"


def test_what_mps_limits_beside_what_was_measured() -> None:
    plain = emit("device-plugin", gpu("mps", 4, thread_percentage=25))
    limited = emit("device-plugin", gpu("mps", 4, thread_percentage=25, memory_limit_mib=2048))
    assert "1/4 of the GPU's memory; measured was no limit." in plain
    assert "1/4 of the GPU's memory; measured was a limit of 2048 MiB." in limited


@settings(max_examples=25)
@given(deployments())
def test_pods_ask_for_what_the_plugin_offers(deployment: Deployment) -> None:
    if deployment.device_kind == "cpu":
        return
    shared = written("device-plugin", deployment).get("sharing", {})
    offered = {f"{r['name']}.shared" for strategy in shared.values() for r in strategy["resources"]}
    pods = [t for t in yaml.safe_load_all(emit("kubernetes", deployment)) if t["kind"] == "Deployment"]
    limits = {name for p in pods for name in p["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]}
    names = {name for name in limits if name.startswith("nvidia")}
    layout = written("mig-parted", deployment)["mig-configs"]
    slices = {
        f"nvidia.com/mig-{name.replace('+', '.')}" for (e,) in layout.values() for name in e.get("mig-devices", [])
    }
    assert names == (offered or slices or {"nvidia.com/gpu"})


def test_words_of_strangers_stay_in_comments() -> None:
    for form in FORMS:
        plain, hostile = (
            emit(form, gpu("mig", 2, "2x3g", workload=word, optimization=word, partition=word, device=word))
            for word in ("word", "a\nversion: v2\r\u2028\u2029\x85\x0bb: c\x1b")
        )
        assert len(hostile.splitlines()) == len(plain.splitlines())
        if form != "kubernetes":  # which has an annotation of it
            assert [x for x in hostile.splitlines() if x[:1] != "#"] == [x for x in plain.splitlines() if x[:1] != "#"]


def test_a_form_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="no form 'helm'"):
        emit("helm", gpu())
