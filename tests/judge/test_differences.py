"""What differs between two descriptions of runs. The machines are made up."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bench.judge.differences import MOST_LEAVES, described, differences

GPU: dict[str, Any] = {
    "uuid": "GPU-made-up", "driver": "570.1", "cuda_driver": "12.8", "power_limit_w": {"now": 400.0, "default": 400.0},
    "clocks_mhz": {"sm": {"now": 210, "max": 1410, "application": 1410}}, "pcie": {"generation": 1, "width": 16},
    "temperature_c": {"gpu": 31}, "processes": [], "mig": {"on": False, "instances": [], "devices": []},
    "environment": {},
}  # fmt: skip
MADE_UP: dict[str, Any] = {
    "started_at": "2026-11-01T02:00:00+00:00",
    "seed": 1,
    "device": {"name": "made-up device", "cpus": [0, 1], "memory_bytes": 16 << 30},
    "subject": {"bench": "0.1.0", "libraries": {"torch": "2.12.0"}, "workload": {"weights_sha256": "aa"}},
    "fingerprint": {
        "bench": "0.1.0", "commit": "aaa", "system": "Linux-6.1", "memory_bytes": 16 << 30,
        "cpu": {"name": "made-up processor", "usable": [0, 1], "governor": "performance", "boost": "0"},
        "gpu": {"driver": "570.1", "devices": [GPU]}, "load_average": [0.1, 0.2, 0.3],
        "containers": {"podman": "4.3.1", "cdi": []}, "versions": {"torch": "2.12.0", "torchao": None},
        "environment": {},
    },
    "config": {
        "seed": None, "claims": {"some": {"low": 1.2}}, "optimizations": {"fp32": {"expects": "fp32"}},
        "protocol": {"window_s": 1.0},
    },
}  # fmt: skip

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
)
strange = st.dictionaries(
    st.sampled_from(["fingerprint", "device", "subject", "config", "other"]),
    values | st.dictionaries(st.sampled_from(["gpu", "cpu", "versions", "environment", "mig"]), values),
)


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """The made-up description with one value changed."""
    found = copy.deepcopy(MADE_UP)
    inside: Any = found
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = to
    return found


def told(after: dict[str, Any], before: dict[str, Any] = MADE_UP) -> list[str]:
    return [str(difference) for difference in differences(before, after)]


def test_what_a_speed_depends_on_is_named_as_people_name_it() -> None:
    assert told(changed("fingerprint", "commit", to="bbb")) == ["bench's commit aaa → bbb"]
    assert told(changed("fingerprint", "gpu", "driver", to="580.2")) == ["GPU driver 570.1 → 580.2"]
    assert told(changed("fingerprint", "versions", "torch", to="2.13.0")) == ["torch 2.12.0 → 2.13.0"]
    assert told(changed("fingerprint", "versions", "torchao", to="0.18")) == ["torchao unset → 0.18"]
    assert told(changed("fingerprint", "cpu", "governor", to="powersave")) == ["CPU governor performance → powersave"]
    assert told(changed("fingerprint", "containers", "podman", to="5.0")) == ["podman 4.3.1 → 5.0"]
    gpu = ("fingerprint", "gpu", "devices", 0)
    assert told(changed(*gpu, "power_limit_w", "now", to=300.0)) == ["GPU power limit w now 400.0 → 300.0"]
    assert told(changed(*gpu, "clocks_mhz", "sm", "application", to=1200)) == [
        "GPU clocks mhz sm application 1410 → 1200"
    ]
    assert told(changed(*gpu, "mig", "on", to=True)) == ["GPU mig on False → True"]
    assert told(changed("config", "protocol", "window_s", to=2.0)) == ["configuration protocol window_s 1.0 → 2.0"]
    assert told(changed("subject", "workload", "weights_sha256", to="bb")) == ["workload weights sha256 aa → bb"]


def test_what_passes_from_minute_to_minute_is_none() -> None:
    gpu = ("fingerprint", "gpu", "devices", 0)
    for after in (
        changed("started_at", to="2026-11-02"),
        changed("seed", to=2),
        changed("config", "seed", to=7),
        changed("config", "claims", to={}),
        changed("fingerprint", "load_average", to=[9, 9, 9]),
        changed("fingerprint", "memory_bytes", to=(16 << 30) - 4096),
        changed(*gpu, "temperature_c", to={"gpu": 80}),
        changed(*gpu, "processes", to=[{"pid": 1}]),
        changed(*gpu, "clocks_mhz", "sm", "now", to=1410),
        changed(*gpu, "pcie", "generation", to=4),
        changed(*gpu, "mig", "devices", to=[{"uuid": "MIG-1"}]),
    ):
        assert told(after) == []


def test_the_commit_comes_first_and_the_configuration_last() -> None:
    after = changed("fingerprint", "commit", to="bbb")
    after["config"]["protocol"]["window_s"] = 2.0
    after["fingerprint"]["versions"]["torch"] = after["subject"]["libraries"]["torch"] = "2.13.0"
    after["fingerprint"]["gpu"]["driver"] = after["fingerprint"]["gpu"]["devices"][0]["driver"] = "580.2"
    names = [difference.name for difference in differences(MADE_UP, after)]
    assert names == ["bench's commit", "GPU driver", "torch", "configuration protocol window_s"]


def test_a_setting_that_is_missing_is_unset_and_a_fact_that_is_missing_is_unknown() -> None:
    assert told(changed("fingerprint", "environment", to={"OMP_NUM_THREADS": "1"})) == ["OMP_NUM_THREADS unset → 1"]
    assert told(changed("config", "optimizations", "int8", to={"expects": "int8", "passes": [{"a": 1}]})) == [
        "configuration optimizations int8 unset → set"
    ]
    older = copy.deepcopy(MADE_UP)
    del older["fingerprint"]["containers"], older["fingerprint"]["versions"]["torchao"], older["config"]
    assert told(MADE_UP, before=older) == []
    assert told({}) == []
    assert not described({}) and described(MADE_UP) and not described({"fingerprint": "text"})


@given(strange, strange)
def test_any_shape_is_survived(before: dict[str, Any], after: dict[str, Any]) -> None:
    there, back = differences(before, after), differences(after, before)
    assert differences(before, copy.deepcopy(before)) == []
    assert {(d.name, d.before, d.after) for d in there} == {(d.name, d.after, d.before) for d in back}


def test_endless_and_bottomless_descriptions_are_cut() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"x": deep}
    wide = {"fingerprint": {"environment": {f"V{number}": number for number in range(3 * MOST_LEAVES)}}}
    assert differences({"config": deep}, {"config": {"x": {}}}) == []
    assert len(differences({"fingerprint": {"environment": {}}}, wide)) <= MOST_LEAVES
    (found,) = differences(changed("fingerprint", "commit", to="c" * 10_000), MADE_UP)
    assert len(found.before) <= 120
