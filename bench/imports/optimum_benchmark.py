"""optimum-benchmark: benchmark.json, or benchmark_report.json with benchmark_config.json beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from bench.imports.files import number, plain, possible, read_json, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.records import Imported
from bench.stored_tables import GREATEST_READING

HINT = "name benchmark.json, or benchmark_report.json and benchmark_config.json: optimum-benchmark writes them"
BEFORE = ("load_model", "first_forward", "first_generate", "first_call", "warmup", "overall")
"""Parts of a report that are no steady state."""
REQUEST_PARTS = ("forward", "call", "prefill", "generate")
"""Parts whose latencies are each of one whole request; a decode is what a generate took beyond a mean prefill."""


class OptimumBenchmark(Importer):
    """Its throughput is what one call answers by the mean latency of calls: what passes between two calls is in none
    of it, and it tells no window."""

    tool = "optimum-benchmark"
    reads = "benchmark.json of each run, or its benchmark_report.json and benchmark_config.json"
    takes: ClassVar[Mapping[str, str]] = {
        "part": "which part of the report: forward, call, prefill, decode or generate"
    }

    def read(self, files: Sequence[Path], said: Place) -> Found:
        pairs = _pairs(files)
        chosen = self.options.get("part", "")
        measured = [_measured(path, config, report, said, chosen) for path, config, report in pairs]
        environment = _record(pairs[0][1].get("environment"))
        imported = Imported(
            tool=self.tool,
            version=plain(environment.get("optimum_benchmark_version"), 40),
            files=sources(files),
            missing=("blocks", "proof"),
        )
        return Found(imported, measured, fingerprint=_fingerprint(pairs[0][1]))


def _pairs(files: Sequence[Path]) -> list[tuple[Path, Mapping[str, Any], Mapping[str, Any]]]:
    """Each report with its configuration. Those that come in two files belong together by their order."""
    whole, configs, reports = [], [], []
    for path in files:
        found = read_json(path, HINT)
        if not isinstance(found, dict):
            raise wrong(path, "this is no record of optimum-benchmark", HINT)
        if isinstance(found.get("config"), dict) and isinstance(found.get("report"), dict):
            whole.append((path, found["config"], found["report"]))
        elif isinstance(found.get("backend"), dict) and "scenario" in found:
            configs.append(found)
        elif found and all(isinstance(part, dict) and "latency" in part for part in found.values()):
            reports.append((path, found))
        else:
            raise wrong(path, "this is neither a report nor a configuration of optimum-benchmark", HINT)
    if len(configs) != len(reports):
        what = f"there are reports without configuration, or the reverse: {len(reports)} and {len(configs)}"
        raise wrong(files[0], what, HINT)
    return whole + [(path, config, report) for (path, report), config in zip(reports, configs, strict=True)]


def _measured(path: Path, config: Mapping[str, Any], report: Mapping[str, Any], said: Place, chosen: str) -> Measured:
    name = _part(path, report, chosen)
    part = report[name]
    latency, throughput = part["latency"], part["throughput"]
    if not isinstance(latency, dict) or latency.get("unit") != "s":
        raise wrong(path, f"the latencies of {name} are missing, or not in s", HINT)
    latencies_ms = [seconds * 1e3 for seconds in _seconds(path, latency.get("values"), name)]
    place = _place(path, config, said)
    told = number(path, throughput, "value", f"the throughput of {name}", HINT)
    by_call = sum(latencies_ms) / len(latencies_ms) / 1e3 * told
    if throughput.get("unit") == "samples/s" and abs(by_call - (place.batch_size or 1)) > 0.01 * by_call:
        what = f"{name} tells of {told:g} samples/s, which is {by_call:.4g} for each call of {place.batch_size}"
        raise wrong(path, what, "this version counts tokens there: say part=decode or part=prefill")
    return Measured(
        place=place,
        throughput_per_s=told,
        latencies_ms=latencies_ms if name in REQUEST_PARTS else (),
        requests=len(latencies_ms),
        detail={
            "part": name,
            "items": plain(throughput.get("unit"), 40),
            "throughput_is": "what one call answers, by the mean latency of calls; not by the wall's clock",
            "backend": _plain_values(config.get("backend")),
            "memory": _plain_values(part.get("memory")),
            "energy": _plain_values(part.get("energy")),
        },
    )


def _part(path: Path, report: Mapping[str, Any], chosen: str) -> str:
    """The part that was chosen, or the only one of which there is a rate. Raises InputError where there are several."""
    rated = [name for name, part in report.items() if _rated(part) and name not in BEFORE]
    if chosen:
        if chosen in rated:
            return chosen
        what = f"part={chosen[:60]} has no throughput in this report"
    elif len(rated) == 1:
        return rated[0]
    else:
        what = f"{len(rated)} parts of this report have a throughput"
    have = ", ".join(plain(name, 40) for name in rated[:8])
    raise wrong(path, what, f"say one of them: part={have}" if rated else "measure with scenario.latency=true")


def _rated(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("latency"), dict) and isinstance(part.get("throughput"), dict)


def _seconds(path: Path, values: Any, name: str) -> list[float]:
    if not isinstance(values, list) or not values:
        raise wrong(path, f"{name} has no latencies: it was interrupted, or they were not measured", HINT)
    for index, value in enumerate(values, start=1):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(path, f"{name}: latency {index} is no number: {shown(value)}", HINT)
        possible(path, value, f"{name}: latency {index}", HINT)
    return [float(value) for value in values]


def _place(path: Path, config: Mapping[str, Any], said: Place) -> Place:
    """A call holds a whole batch and follows on the one before: single_stream of one item, offline of more."""
    backend, environment = _record(config.get("backend")), _record(config.get("environment"))
    shapes = _record(_record(config.get("scenario")).get("input_shapes"))
    kind = plain(backend.get("device"))
    batch_size = shapes.get("batch_size")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise wrong(path, f"its batch size is {shown(batch_size)}", HINT)
    place = said.held_to(path, device_kind=kind if kind in ("cpu", "cuda") else "", batch_size=batch_size)
    return place.filled(
        workload=_name(plain(backend.get("model"))),
        scenario="single_stream" if batch_size == 1 else "offline",
        device=_device(kind, backend, environment),
    )


def _device(kind: str, backend: Mapping[str, Any], environment: Mapping[str, Any]) -> str:
    """ "" where it is not told which of several GPUs measured, or on how many."""
    if kind == "cpu":
        name, count = plain(environment.get("cpu")).strip(), environment.get("cpu_count")
        return f"CPU {name} ({count} cores)" if name and isinstance(count, int) else ""
    gpus = environment.get("gpu")
    names = list(dict.fromkeys(map(plain, gpus))) if isinstance(gpus, list) else []
    several = "," in plain(backend.get("device_ids"))
    return names[0].strip() if len(names) == 1 and not several else ""


def _name(model: str) -> str:
    """The last part of a model's path or of its name on a hub."""
    return model.rstrip("/\\").replace("\\", "/").rpartition("/")[2]


def _fingerprint(config: Mapping[str, Any]) -> dict[str, Any]:
    return {"environment": _plain_values(config.get("environment"))}


def _plain_values(found: Any) -> dict[str, Any]:
    """Of one level: texts, and numbers that can be written down."""
    kept: dict[str, Any] = {}
    for key, value in _record(found).items():
        if isinstance(value, str):
            kept[plain(key)] = plain(value)
        elif isinstance(value, bool) or (isinstance(value, int | float) and abs(value) <= GREATEST_READING):
            kept[plain(key)] = value
        elif isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            kept[plain(key)] = [plain(one) for one in value[:64]]
    return kept


def _record(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
