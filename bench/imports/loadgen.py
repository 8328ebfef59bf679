"""MLPerf LoadGen: mlperf_log_detail.txt of a performance run, or its mlperf_log_summary.txt."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.imports.files import number, plain, possible, read_text, shown, sources, wrong
from bench.imports.imported import Found, Importer, Measured, Place
from bench.records import Imported, Latency
from bench.stored_tables import GREATEST_READING

HINT = "name mlperf_log_detail.txt, or mlperf_log_summary.txt, of a whole performance run: LoadGen writes both"
MARK = ":::MLLOG "
SCENARIOS = {
    "SingleStream": "single_stream",
    "MultiStream": "multi_stream",
    "Offline": "offline",
    "Server": "server",
}
PERFORMANCE = "PerformanceOnly"
QUANTILES = {"p50": "50.00", "p90": "90.00", "p95": "95.00", "p99": "99.00"}
UNMET = {
    "result_perf_constraints_met": "more queries than allowed took longer than the target",
    "result_min_duration_met": "it was too short",
    "result_min_queries_met": "there were too few queries",
    "early_stopping_met": "too few queries to be sure (early stopping)",
}
SUMMARY = {
    "SUT name": "sut_name",
    "Scenario": "effective_scenario",
    "Mode": "effective_test_mode",
    "Result is": "result_validity",
    "Performance constraints satisfied": "result_perf_constraints_met",
    "Min duration satisfied": "result_min_duration_met",
    "Min queries satisfied": "result_min_queries_met",
    "Early stopping satisfied": "early_stopping_met",
    "Samples per second": "result_samples_per_second",
    "Completed samples per second": "result_completed_samples_per_sec",
    "QPS w/ loadgen overhead": "result_qps_with_loadgen_overhead",
    "samples_per_query": "effective_samples_per_query",
    "Mean latency (ns)": "result_mean_latency_ns",
    **{f"{text} percentile latency (ns)": f"result_{text}_percentile_latency_ns" for text in QUANTILES.values()},
}
"""What a summary calls the keys of the detailed log. A MultiStream's latencies are per query in a summary."""
KEPT = ("effective_", "result_", "early_stopping_", "sut_name", "qsl_name")
TEXTS = ("sut_name", "effective_scenario", "effective_test_mode", "result_validity")


class LoadGen(Importer):
    """Latencies of each query are in no log, only their percentiles, in ns; of Offline, whose one query holds all
    samples, they say nothing about requests and are left out."""

    tool = "loadgen"
    reads = "mlperf_log_detail.txt of each performance run, or mlperf_log_summary.txt"

    def read(self, files: Sequence[Path], said: Place) -> Found:
        logs = [(path, _read(path)) for path in files]
        _each_run_once(logs)
        versions = dict.fromkeys(plain(log.get("loadgen_version")).split(" ")[0] for _, log in logs)
        imported = Imported(
            tool=self.tool,
            version=", ".join(version for version in versions if version)[:100],
            when=plain(logs[0][1].get("test_datetime"), 40),
            files=sources(files),
            missing=("blocks", "proof", "device", "requests"),
        )
        return Found(imported, [_measured(path, log, said) for path, log in logs])


def _read(path: Path) -> Mapping[str, Any]:
    text = read_text(path, HINT)
    if text.startswith(MARK):
        return _detail(path, text)
    if "MLPerf Results Summary" in text[:400]:
        return _summary(path, text)
    what = "this is no log of MLPerf LoadGen"
    if path.name == "mlperf_log_accuracy.json":
        what = "answers of an accuracy run are not scored here: that takes the benchmark's own script"
    raise wrong(path, what, HINT)


def _each_run_once(logs: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """A run's log and its summary hold the same nanoseconds, which no second run does."""
    seen: dict[tuple[float, ...], Path] = {}
    for path, log in logs:
        told = [log.get(key) for key in _latency_keys(log.get("effective_scenario")).values()]
        figures = tuple(value for value in told if isinstance(value, int | float))
        if figures and figures in seen:
            what = f"this is of the same run as {seen[figures].name}"
            raise wrong(path, what, "a run counts once: name its mlperf_log_detail.txt alone, which tells more")
        seen[figures] = path


def _detail(path: Path, text: str) -> dict[str, Any]:
    """Key -> value, the last where there are several; what is logged as an error is gathered under "errors"."""
    found: dict[str, Any] = {"errors": []}
    for count, line in enumerate(text.splitlines(), start=1):
        if not line:
            continue
        try:
            record = json.loads(line.removeprefix(MARK)) if line.startswith(MARK) else None
        except (ValueError, RecursionError) as error:
            raise wrong(path, f"line {count} is cut off, or no log of LoadGen: {shown(line)}", HINT) from error
        if not isinstance(record, dict) or not isinstance(record.get("key"), str):
            raise wrong(path, f"line {count} is no log of LoadGen: {shown(line)}", HINT)
        found[record["key"]] = record.get("value")
        metadata = record.get("metadata")
        if isinstance(metadata, dict) and metadata.get("is_error") is True:
            found["errors"].append(f"{record['key']}: {record.get('value')}"[:200])
    return found


def _summary(path: Path, text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in text.splitlines():
        name, sign, value = line.partition(":")
        if sign and (key := SUMMARY.get(name.strip())):
            found[key] = value.strip() if key in TEXTS else _value(path, name.strip(), value.strip())
    if found.get("effective_scenario") == "MultiStream":
        found = {key.replace("_latency_ns", "_query_latency_ns"): value for key, value in found.items()}
        found = {re.sub(r"percentile_query", "percentile_per_query", key): value for key, value in found.items()}
    return found


def _value(path: Path, name: str, value: str) -> float | bool:
    if value.lower() in ("yes", "no"):
        return value.lower() == "yes"
    try:
        return possible(path, float(value), name, HINT)
    except ValueError as error:
        raise wrong(path, f"{name} is no number: {shown(value)}", HINT) from error


def _measured(path: Path, log: Mapping[str, Any], said: Place) -> Measured:
    scenario = log.get("effective_scenario")
    if not isinstance(scenario, str) or scenario not in SCENARIOS:
        what = "its scenario is missing" if scenario is None else f"its scenario is {shown(scenario)}"
        raise wrong(path, f"{what}, and LoadGen has {', '.join(SCENARIOS)}", HINT)
    if log.get("effective_test_mode") != PERFORMANCE:
        raise wrong(path, f"it ran in mode {shown(log.get('effective_test_mode'))}, which measures no speed", HINT)
    if log.get("result_validity") not in ("VALID", "INVALID"):
        raise wrong(path, "it has no result: the run, or the file, ended early", HINT)
    per_query = int(number(path, log, "effective_samples_per_query", "the log", HINT))
    if per_query < 1:
        raise wrong(path, f"it has {per_query} samples per query, which cannot be", HINT)
    # An Offline query holds everything: how many of them the system answers at once, only the user knows.
    batch_size = {} if scenario == "Offline" else {"batch_size": per_query}
    count = log.get("result_query_count")
    return Measured(
        place=said.held_to(path, scenario=SCENARIOS[scenario], **batch_size),
        throughput_per_s=_throughput(path, log, scenario, per_query),
        latency_ms=None if scenario == "Offline" else _latency(path, log, scenario),
        requests=None if count is None else int(number(path, log, "result_query_count", "the log", HINT)),
        window_s=_window_s(log),
        invalid=_invalid(log),
        detail=_told(log),
    )


def _throughput(path: Path, log: Mapping[str, Any], scenario: str, per_query: int) -> float:
    """Samples per second, LoadGen's own time for each query included where it tells both."""
    if scenario == "MultiStream":  # it tells no rate: a query follows on the one before
        mean_ns = number(path, log, "result_mean_query_latency_ns", "the log", HINT)
        return per_query * 1e9 / mean_ns if mean_ns else 0.0
    key = {
        "SingleStream": "result_qps_with_loadgen_overhead",
        "Offline": "result_samples_per_second",
        "Server": "result_completed_samples_per_sec",
    }[scenario]
    return number(path, log, key, "the log", HINT)


def _latency(path: Path, log: Mapping[str, Any], scenario: str) -> Latency:
    keys = _latency_keys(scenario)
    return Latency(**{name: number(path, log, key, "the log", HINT) / 1e6 for name, key in keys.items()})


def _latency_keys(scenario: Any) -> dict[str, str]:
    """Of queries: of a MultiStream there are those of samples, too."""
    per, mean = ("_per_query", "_query") if scenario == "MultiStream" else ("", "")
    keys = {name: f"result_{text}_percentile{per}_latency_ns" for name, text in QUANTILES.items()}
    return {**keys, "mean": f"result_mean{mean}_latency_ns"}


def _window_s(log: Mapping[str, Any]) -> float | None:
    """By the wall's clock, in ms; a summary does not tell."""
    try:
        begin, end = (datetime.strptime(log[key], "%m-%d-%Y %H:%M:%S.%f") for key in ("power_begin", "power_end"))
    except (KeyError, TypeError, ValueError):
        return None
    seconds = (end - begin).total_seconds()
    return seconds if seconds > 0 else None


def _invalid(log: Mapping[str, Any]) -> str:
    reasons = [text for key, text in UNMET.items() if log.get(key) is False]
    reasons += [plain(error) for error in log.get("errors", ())]
    if log["result_validity"] == "VALID":
        return ""
    return "; ".join(reasons)[:500] or "it does not say why"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= GREATEST_READING


def _told(log: Mapping[str, Any]) -> dict[str, Any]:
    """What of the log is kept beside: settings and results, as far as they are plain values."""
    return {
        plain(key): plain(value, 500) if isinstance(value, str) else value
        for key, value in log.items()
        if key.startswith(KEPT) and (isinstance(value, str | bool) or _finite(value))
    }
