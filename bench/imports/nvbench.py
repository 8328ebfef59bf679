"""nvbench: `--json`, from benchmarks of CUDA kernels.

Format: nvbench's json_printer and python/scripts/test_ref.json; seconds. Measured are isolated ("cold") executions, one
after the other, by CUDA events: the L2 cache is flushed in between, and that time does not count. An execution is taken
for an item, its GPU time alone for the time that it takes. Single times lie in binary files beside the JSON
(`--jsonbin`), which are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.imports.files import file_name, possible, read_json, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.records import Imported

HINT = "a benchmark built with nvbench writes it with --json results.json"
MEAN, SAMPLES = "nv/cold/time/gpu/mean", "nv/cold/sample_size"
KEPT = (
    MEAN, SAMPLES, "nv/cold/time/gpu/stdev/relative", "nv/cold/time/cpu/mean", "nv/cold/walltime",
    "nv/cold/bw/item_rate", "nv/cold/bw/global/bytes_per_second", "nv/cold/bw/global/utilization",
    "nv/cold/sm_clock_rate/mean", "nv/batch/time/gpu/mean", "nv/batch/sample_size",
)  # fmt: skip
NO_AXES = "default"


class Nvbench(Importer):
    """A state (a combination of a benchmark's axes, on one device) is a cell: its axes name the optimization."""

    tool = "nvbench"
    reads = "results.json of --json"
    takes: ClassVar[Mapping[str, str]] = {"benchmark": "which of a file's benchmarks; its name becomes the workload"}

    def read(self, files: Sequence[Path], said: Place) -> Found:
        measured: list[Measured] = []
        version = ""
        devices: dict[str, Any] = {}
        for file in files:
            document = _document(file)
            version = version or _version(document)
            devices = devices or {str(device["id"]): device for device in document["devices"]}
            measured += self._file(file, document, said)
        imported = Imported(
            tool=self.tool, version=version, files=sources(files), missing=("blocks", "proof", "requests")
        )
        return Found(imported, measured, fingerprint={"nvbench devices": devices})

    def _file(self, file: Path, document: Mapping[str, Any], said: Place) -> list[Measured]:
        names = {device["id"]: device["name"] for device in document["devices"]}
        wanted = self.options.get("benchmark")
        benchmarks = [b for b in document["benchmarks"] if wanted in (None, b["name"])]
        if len(benchmarks) != 1:
            there = ", ".join(shown(benchmark["name"]) for benchmark in document["benchmarks"][:20])
            raise wrong(file, f"it holds these benchmarks: {there}", "say benchmark= with the name of one of them")
        states = [state for state in _states(file, benchmarks[0]) if state["device"] in names]
        if not states:
            raise wrong(file, f"{shown(benchmarks[0]['name'])} was measured on no GPU", HINT)
        on = {names[state["device"]] for state in states}
        if said.device and said.device in on:
            states = [state for state in states if names[state["device"]] == said.device]
        elif len(on) > 1:
            raise wrong(file, f"it holds several devices: {', '.join(sorted(on))}", 'say device="..." with one of them')
        if said.optimization and len(states) > 1:
            raise wrong(
                file, f"it holds {len(states)} states, and they cannot all be {said.optimization}",
                "leave optimization= out: the values of the axes name them",
            )  # fmt: skip
        return [
            _measured(file, state, _place(file, said, benchmarks[0]["name"], names[state["device"]], state))
            for state in states
        ]


def _place(file: Path, said: Place, benchmark: str, device: str, state: Mapping[str, Any]) -> Place:
    facts = said.held_to(file, device=device, device_kind="cuda", batch_size=1)
    axes = "-".join(f"{axis['name']}-{axis['value']}" for axis in state["axis_values"])
    return facts.filled(
        workload=_plain(benchmark), scenario="single_stream", optimization=_plain(axes) if axes else NO_AXES
    )


def _measured(file: Path, state: Mapping[str, Any], place: Place) -> Measured:
    detail: dict[str, Any] = {"file": file_name(file), "state": state["name"]}
    if state.get("is_skipped"):
        return Measured(place, None, invalid=f"skipped: {str(state.get('skip_reason', ''))[:200]}", detail=detail)
    told = _summaries(file, state)
    for name in (MEAN, SAMPLES):
        if name not in told:
            raise wrong(file, f"{shown(state['name'])} has no {name}: isolated executions were not measured", HINT)
    mean_s, samples = told[MEAN], told[SAMPLES]
    if not mean_s or not 1 <= samples == int(samples):
        raise wrong(file, f"{shown(state['name'])}: {samples:g} executions of {mean_s:g} s cannot be", HINT)
    return Measured(
        place,
        possible(file, 1 / mean_s, "executions per second", HINT),
        requests=int(samples),
        window_s=mean_s * samples,
        detail={**detail, "summaries": told},
    )


def _summaries(file: Path, state: Mapping[str, Any]) -> dict[str, float]:
    """Numbers stand there as texts, so that none is rounded."""
    told: dict[str, float] = {}
    for summary in _list(file, state, "summaries"):
        if summary.get("tag") not in KEPT:
            continue
        data = {str(item.get("name")): item.get("value") for item in _list(file, summary, "data")}
        try:
            found = float(str(data["value"]))
        except (KeyError, ValueError) as error:
            raise wrong(file, f"{shown(state['name'])}: {summary['tag']} has no value", HINT) from error
        told[summary["tag"]] = possible(file, found, f"{shown(state['name'])}: {summary['tag']}", HINT)
    return told


def _document(file: Path) -> Mapping[str, Any]:
    found = read_json(file, HINT)
    if not isinstance(found, dict):
        raise wrong(file, "this JSON is not nvbench's: it has no benchmarks and devices", HINT)
    for device in _list(file, found, "devices"):
        if isinstance(device.get("id"), bool) or not isinstance(device.get("id"), int):
            raise wrong(file, f"a device has no number: {shown(device.get('id'))}", HINT)
        _text(file, device, "name", "a device")
    for benchmark in _list(file, found, "benchmarks"):
        _text(file, benchmark, "name", "a benchmark")
    return found


def _states(file: Path, benchmark: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for state in _list(file, benchmark, "states"):
        _text(file, state, "name", "a state")
        device = state.get("device")
        if device is not None and (isinstance(device, bool) or not isinstance(device, int)):
            raise wrong(file, f"{shown(state['name'])} does not tell its device", HINT)
        axes = _list(file, state, "axis_values") if state.get("axis_values") is not None else []
        for axis in axes:
            _text(file, axis, "name", "an axis")
        yield {"device": None, **state, "axis_values": [{"value": "", **axis} for axis in axes]}


def _list(file: Path, record: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = record.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise wrong(file, f"this JSON is not nvbench's, or was cut off: it has no list of {key}", HINT)
    return found


def _text(file: Path, record: Mapping[str, Any], key: str, what: str) -> None:
    if not isinstance(record.get(key), str) or not record[key]:
        raise wrong(file, f"{what} has no {key}", HINT)


def _version(document: Mapping[str, Any]) -> str:
    found: Any = document
    for key in ("meta", "version", "nvbench", "string"):
        found = found.get(key) if isinstance(found, dict) else None
    return found[:80] if isinstance(found, str) else ""


def _plain(text: str) -> str:
    """As part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.\-]+", "_", text).strip("_.-")[:120] or NO_AXES
