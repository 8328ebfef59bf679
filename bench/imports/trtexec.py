"""trtexec, which comes with TensorRT: `--exportTimes` (every inference) and `--exportProfile` (every layer).

Fields: TensorRT's samples/common/sampleReporting.cpp, exportJSONTrace and exportJSONProfile. All of them are
milliseconds. Versions before 8.5 export the warm-up as well and cannot be told from later ones by it, so what was
measured is a little longer there. Nothing in either file tells of the model, the batch, the precision or the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.imports.files import file_name, number, possible, read_json, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.records import Imported

TIMES_HINT = "trtexec writes it with --exportTimes=times.json"
PROFILE_HINT = "trtexec writes it with --exportProfile=profile.json"
BOTH_HINT = "give times.json of --exportTimes, and beside it profile.json of --exportProfile if there is one"
LATENCY, START, END = "latencyMs", "startH2dMs", "endD2hMs"
PARTS = ("h2dMs", "computeMs", "d2hMs")


class Trtexec(Importer):
    """Each file of times is one measurement of the cell that the user names; one profile may stand beside them."""

    tool = "trtexec"
    reads = "times.json of --exportTimes, and profile.json of --exportProfile beside it"

    def read(self, files: Sequence[Path], said: Place) -> Found:
        times: list[tuple[Path, list[Mapping[str, Any]]]] = []
        layers: list[Mapping[str, Any]] = []
        for file in files:
            records = _records(file)
            if "count" in records[0]:
                if layers:
                    raise wrong(file, "this is a second profile, and a profile is of one cell", BOTH_HINT)
                layers = _layers(file, records)
            else:
                times.append((file, records))
        if not times:
            raise wrong(files[0], "this is a profile, and no file tells how long inferences took", BOTH_HINT)
        place = said.held_to(times[0][0], device_kind="cuda")
        measured = [_measured(file, records, place, layers) for file, records in times]
        imported = Imported(tool=self.tool, files=sources(files), missing=("blocks", "proof", "device"))
        return Found(imported, measured)


def _records(file: Path) -> list[Mapping[str, Any]]:
    found = read_json(file, BOTH_HINT)
    if not isinstance(found, list) or not found or not all(isinstance(record, dict) for record in found):
        raise wrong(file, "this is no list of inferences or of layers, as trtexec writes them", BOTH_HINT)
    return found


def _measured(
    file: Path, records: Sequence[Mapping[str, Any]], place: Place, layers: Sequence[Mapping[str, Any]]
) -> Measured:
    """Items per second over the whole window, from the first transfer to the device until the last one back: streams
    overlap, so this is not the inverse of a latency. Without transfers both ends are those of the computation."""
    rows = [_inference(file, record, f"inference {index}") for index, record in enumerate(records, start=1)]
    begin, end = min(row[START] for row in rows), max(row[END] for row in rows)
    window_s = (end - begin) / 1e3
    if window_s <= 0:
        raise wrong(file, f"its inferences begin at {begin:g} ms and end at {end:g} ms", TIMES_HINT)
    rate = len(rows) * (place.batch_size or 1) / window_s
    detail: dict[str, Any] = {
        "file": file_name(file),
        "mean_ms": {name: sum(row[name] for row in rows) / len(rows) for name in PARTS},
    }
    if layers:
        detail["layers"] = list(layers)
    return Measured(
        place,
        possible(file, rate, "items per second", TIMES_HINT),
        latencies_ms=[row[LATENCY] for row in rows],
        ends_s=[row[END] / 1e3 for row in rows],
        requests=len(rows),
        window_s=window_s,
        detail=detail,
    )


def _inference(file: Path, record: Mapping[str, Any], where: str) -> dict[str, float]:
    row = {name: number(file, record, name, where, TIMES_HINT) for name in (START, END, LATENCY, *PARTS)}
    if row[END] < row[START]:
        raise wrong(file, f"{where} ends before it begins", TIMES_HINT)
    return row


def _layers(file: Path, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Each layer's mean time; what its precision was, a profile does not tell."""
    found: list[Mapping[str, Any]] = []
    for index, record in enumerate(records[1:], start=1):
        name = record.get("name")
        if not isinstance(name, str):
            raise wrong(file, f"layer {index} has no name: {shown(name)}", PROFILE_HINT)
        found.append({"name": name, "averageMs": number(file, record, "averageMs", f"layer {index}", PROFILE_HINT)})
    if not found:
        raise wrong(file, "this profile holds no layer", PROFILE_HINT)
    return found
