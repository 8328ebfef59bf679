"""Manifests that Kubernetes takes, in namespaces that are closed to everything that is not restricted."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from made_up_deployments import cpu, deployments, gpu, layouts, service
from pod_security import violations

from bench.emit.forms import emit
from bench.errors import ConfigError, InfeasibleHere
from bench.judge.recommend.deployment import Deployment

QUANTITY = re.compile(r"(\d+(\.\d+)?)(m|[KMGTPE]i?)?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def manifests(deployment: Deployment) -> list[dict[str, Any]]:
    """Each valid by the schemas of the newest Kubernetes that the library has, without an unknown field."""
    trees = list(yaml.safe_load_all(emit("kubernetes", deployment)))
    for tree in trees:
        kubernetes_validate.validate(tree, kubernetes_validate.latest_version(), strict=True)
    return trees


def pods(trees: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """Replicas and the pod's spec, of each Deployment."""
    return [(t["spec"]["replicas"], t["spec"]["template"]["spec"]) for t in trees if t["kind"] == "Deployment"]


@settings(max_examples=25)
@given(deployments())
def test_every_cell_makes_manifests_that_are_taken(deployment: Deployment) -> None:
    trees = manifests(deployment)
    several = {"PodDisruptionBudget"} if deployment.all_tenants > 1 else set()
    assert {tree["kind"] for tree in trees} == {"Deployment", "Service"} | several
    assert len({(tree["kind"], tree["metadata"]["name"]) for tree in trees}) == len(trees)
    assert sum(replicas for replicas, _ in pods(trees)) == deployment.all_tenants
    for tree in trees:
        assert tree["metadata"]["namespace"] == deployment.service.namespace  # type: ignore[union-attr]
        assert DNS_LABEL.fullmatch(tree["metadata"]["name"])
    for tree in trees:
        if tree["kind"] != "Deployment":
            continue
        selected = tree["spec"]["selector"]["matchLabels"]
        labels = tree["spec"]["template"]["metadata"]["labels"]
        assert selected == labels and trees[-1]["spec"]["selector"].items() <= labels.items()
        assert all(LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value) for key, value in labels.items())
    for _, pod in pods(trees):
        assert violations(pod) == []
        for key, value in pod.get("nodeSelector", {}).items():
            assert LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value), (key, value)
        resources = pod["containers"][0]["resources"]
        for name, quantity in {**resources["limits"], **resources["requests"]}.items():
            assert QUANTITY.fullmatch(str(quantity)), (name, quantity)
            assert LABEL_KEY.fullmatch(name), name
        assert {n: q for n, q in resources["limits"].items() if "/" in n} == {
            n: q for n, q in resources["requests"].items() if "/" in n
        }, "Kubernetes does not lend GPUs"
        command = pod["containers"][0].get("command", [])
        assert [word.replace("$$", "$") for word in command] == list(deployment.service.command)  # type: ignore[union-attr]


def test_the_check_of_pod_security_sees_what_is_wrong() -> None:
    (_, pod), *_ = pods(manifests(gpu()))
    assert violations(pod) == []
    for spoiled in (
        {**pod, "hostIPC": True},
        {**pod, "volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
        {**pod, "securityContext": {**pod["securityContext"], "runAsUser": 0}},
        {**pod, "securityContext": {**pod["securityContext"], "seccompProfile": {"type": "Unconfined"}}},
        {**pod, "containers": [{**pod["containers"][0], "securityContext": {}}]},
    ):
        assert violations(spoiled)


def asked(deployment: Deployment) -> list[tuple[int, dict[str, str]]]:
    """How many pods, and which resource of NVIDIA's each asks for."""
    limits = [(count, pod["containers"][0]["resources"]["limits"]) for count, pod in pods(manifests(deployment))]
    return [(count, {n: q for n, q in all_of.items() if n.startswith("nvidia")}) for count, all_of in limits]


def test_resources_as_the_device_plugin_names_them() -> None:
    assert asked(gpu()) == [(1, {"nvidia.com/gpu": 1})]
    assert asked(gpu("mig", 7, "7x1g")) == [(7, {"nvidia.com/mig-1g.5gb": 1})]
    assert asked(gpu("mig", 2, "1g+me,2g")) == [
        (1, {"nvidia.com/mig-2g.10gb": 1}),
        (1, {"nvidia.com/mig-1g.5gb.me": 1}),
    ]
    assert asked(gpu("time_shared", 4)) == [(4, {"nvidia.com/gpu.shared": 1})]
    assert asked(gpu("time_shared", 1)) == [(1, {"nvidia.com/gpu": 1})], "one tenant shares with nobody"
    assert asked(gpu("time_shared", 3, "3g")) == [(3, {"nvidia.com/mig-3g.20gb.shared": 1})]
    assert asked(gpu("mps", 2, thread_percentage=50)) == [(2, {"nvidia.com/gpu.shared": 1})]
    assert asked(cpu()) == [(2, {})]


def test_all_devices_that_the_need_takes_are_deployed() -> None:
    shared = gpu("mps", 2, thread_percentage=50, devices=3, per_s=7714.2, wanted_per_s=20_000)
    ((count, pod),) = pods(manifests(shared))
    assert count == 6 and pod["nodeSelector"]["nvidia.com/gpu.replicas"] == "2", "no device offers itself to a third"
    (wish,) = pod["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert wish["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname", "one node is filled before the next"
    head = emit("kubernetes", shared)
    assert "# It takes 3 devices for 20,000 items/s: plan with at most 7,714 items/s on each.\n" in head
    assert "# This file deploys all of them: 6 pods, 2 on each device.\n" in head
    two_of_each = {"nvidia.com/mig-2g.10gb": 1}, {"nvidia.com/mig-1g.5gb.me": 1}
    assert asked(gpu("mig", 2, "1g+me,2g", devices=2)) == [(2, two_of_each[0]), (2, two_of_each[1])]
    assert "A device is a machine like the one that was measured" in emit("kubernetes", cpu(devices=3))


def test_one_tenant_on_each_of_several_devices() -> None:
    by_kind = {tree["kind"]: tree["spec"] for tree in manifests(gpu(devices=3))}
    assert by_kind["Deployment"]["replicas"] == 3
    assert by_kind["Deployment"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}, "two go on"
    assert by_kind["PodDisruptionBudget"]["maxUnavailable"] == 1
    assert "affinity" not in by_kind["Deployment"]["template"]["spec"], "nothing is won by one node"
    assert "3 pods, 1 on each device" in emit("kubernetes", gpu(devices=3))


def test_one_device_is_not_talked_of_as_several() -> None:
    head = emit("kubernetes", gpu(per_s=512.0))
    assert "# It takes one device: plan with at most 512 items/s.\n" in head and "all of them" not in head
    assert "It takes" not in emit("kubernetes", gpu())


def test_slices_that_stayed_empty() -> None:
    assert asked(gpu("mig", 3, "7x1g")) == [(3, {"nvidia.com/mig-1g.5gb": 1})]
    for deployment in (gpu("mig", 2, "3g,2g,2g"), gpu("mig", 3, "2x3g")):
        for form in ("kubernetes", "docker"):
            with pytest.raises(InfeasibleHere, match="not which had which"):
                emit(form, deployment)


def test_nodes_by_the_labels_of_gpu_feature_discovery() -> None:
    def nodes(deployment: Deployment) -> dict[str, str]:
        return pods(manifests(deployment))[0][1].get("nodeSelector", {})

    product = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"}
    assert nodes(gpu("mig", 7, "7x1g")) == product
    assert nodes(gpu("time_shared", 4)) == {
        **product, "nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4",
    }  # fmt: skip
    assert nodes(gpu("time_shared", 2, "1g+me"))["nvidia.com/mig-1g.5gb.me.replicas"] == "2"
    assert nodes(cpu()) == {}
    assert nodes(gpu(product="")) == {}
    with pytest.raises(InfeasibleHere, match="no node has a label"):
        emit("kubernetes", gpu(product="漢字"))


def test_what_a_tenant_gets_of_the_host() -> None:
    (_, pod), *_ = pods(manifests(cpu("cpuset", threads=3)))
    container = pod["containers"][0]
    wanted = {"cpu": "3", "memory": "1336Mi"}
    assert container["resources"] == {"requests": wanted, "limits": wanted}, "guaranteed: whole cores of its own"
    assert {"name": "OMP_NUM_THREADS", "value": "3"} in container["env"]
    (_, pod), *_ = pods(manifests(cpu("time_shared", threads=2)))
    assert pod["containers"][0]["resources"]["limits"]["cpu"] == "2", "its share of the cores"
    (_, pod), *_ = pods(manifests(cpu(service=service(memory_gib=3))))
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "3072Mi", "what the need says"
    (_, pod), *_ = pods(manifests(cpu(peak_rss_bytes=80 * 2**20)))
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "352Mi", "with room for a server"
    assert pod["volumes"][0]["emptyDir"].get("medium", "") != "Memory", "so /tmp takes nothing of that"


def test_a_service_stays_there_in_a_rollout_and_when_a_node_is_drained() -> None:
    def by_kind(deployment: Deployment) -> dict[str, Any]:
        return {tree["kind"]: tree["spec"] for tree in manifests(deployment)}

    alone, several = by_kind(gpu()), by_kind(gpu("mig", 2, "2x3g"))
    assert alone["Deployment"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "waits where no second device is free" in emit("kubernetes", gpu())
    assert "PodDisruptionBudget" not in alone, "it would keep the node from being drained"
    assert several["Deployment"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert several["PodDisruptionBudget"]["maxUnavailable"] == 1
    chosen = several["PodDisruptionBudget"]["selector"]["matchLabels"]
    assert chosen.items() <= several["Deployment"]["template"]["metadata"]["labels"].items()
    pod = several["Deployment"]["template"]["spec"]
    assert 0 < pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] < pod["terminationGracePeriodSeconds"]


def test_a_namespace_that_is_not_made() -> None:
    line = "# The namespace inference has to be there: kubectl create namespace inference\n"
    assert line in emit("kubernetes", gpu(service=service(namespace="inference")))
    assert "namespace has" not in emit("kubernetes", gpu()) and "create namespace" not in emit("kubernetes", gpu())


def test_only_cores_of_ones_own_are_asked_for_in_full() -> None:
    def cores(deployment: Deployment) -> tuple[str, str]:
        (_, pod), *_ = pods(manifests(deployment))
        told = pod["containers"][0]["resources"]
        return told["requests"]["cpu"], told["limits"]["cpu"]

    assert cores(gpu("mig", 2, "2x3g", threads=64)) == ("1", "64"), "an identical node has fewer than 128 free"
    assert cores(gpu("mig", 2, "2x3g", threads=64, cores_used=1.23)) == ("1.3", "64")
    assert cores(gpu(threads=2, cores_used=2.7)) == ("2", "2"), "no more than it may use"
    assert cores(gpu(threads=2, cores_used=1e-6)) == ("0.1", "2")
    assert cores(cpu("time_shared", 2, threads=2, cores_used=1.5)) == ("1.5", "2")
    assert cores(cpu("cpuset", 2, threads=2, cores_used=1.5)) == ("2", "2"), "pinned: equal"
    assert "where 2.6 CPU and" in emit("kubernetes", gpu("mig", 2, "2x3g", threads=64, cores_used=1.23))
    assert "kube-reserved" in emit("kubernetes", cpu())


@settings(max_examples=8)
@given(layouts())
def test_each_profile_of_a_layout_has_a_deployment_of_its_own(drawn: Any) -> None:
    model, placed = drawn
    trees = manifests(gpu("mig", len(placed), model=model, instances=placed))
    found = sorted(
        name
        for count, wanted in asked(gpu("mig", len(placed), model=model, instances=placed))
        for name in [*wanted] * count
    )
    assert found == sorted(f"nvidia.com/mig-{instance.profile.replace('+', '.')}" for instance in placed)
    assert sum(tree["kind"] == "Deployment" for tree in trees) == len({instance.profile for instance in placed})


def test_what_the_need_has_to_say() -> None:
    for form in ("kubernetes", "docker"):
        with pytest.raises(ConfigError, match="does not say what is deployed") as error:
            emit(form, gpu(service=None))
        hint = yaml.safe_load(error.value.hint.partition(": ")[2])
        shown = service(**hint["deploy"])
        assert emit(form, gpu(service=shown)), "the example of the hint works"
        with pytest.raises(ConfigError, match="not measured") as error:
            emit(form, gpu(peak_rss_bytes=None))
        assert error.value.where == "deploy.memory_gib"


@pytest.mark.parametrize(
    ("deployment", "reason"),
    [
        (gpu("green_context", 2, sm_share=0.5), "made by the program"),
        (gpu("mps", 2), "50 % of the threads at most, and this was measured without a limit"),
        (gpu("mps", 3, thread_percentage=50), "33 % of the threads at most, and this was measured with 50 %"),
        (gpu("mps", 2, "3g", thread_percentage=50), "does not share a MIG slice through MPS"),
        (gpu("mps", 1, thread_percentage=50), "shares among 2 to 48"),
        (gpu("mps", 49, thread_percentage=2), "shares among 2 to 48"),
    ],
)
def test_what_kubernetes_cannot_express(deployment: Deployment, reason: str) -> None:
    for form in ("kubernetes", "device-plugin"):
        with pytest.raises(InfeasibleHere, match=reason) as error:
            emit(form, deployment)
        assert error.value.exit_code == 3 and error.value.hint
