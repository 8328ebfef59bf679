"""pytest-benchmark: the document of --benchmark-json, or one of its store; and such a document of `bench export`.

What the tool measured is kept in the run as the file was, so that it can be given back whole. What `bench export` wrote
holds a whole run: `bench` beside `benchmarks`, and in each benchmark's `extra_info`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from bench.imports.files import number, plain, possible, read_json, read_text, shown, wrong
from bench.imports.imported import Found, Importer, Measured, Place, WholeRun
from bench.imports.pytest_benchmark.whole_run import is_own, whole_run
from bench.records import Imported, SourceFile

HINT = "pytest --benchmark-json=FILE writes it, and so does bench export pytest-benchmark RUN"
NAME_LENGTH = 100


class PytestBenchmark(Importer):
    """Each benchmark is an optimization, or each parameter of the one that is chosen; each session (a file) is a
    repetition, each round a request. A call counts as one item unless batch_size= says otherwise. A round of several
    calls is their mean, whose quantiles are not those of calls: then there is a throughput alone."""

    tool = "pytest-benchmark"
    reads = "the file of --benchmark-json of each session, or those of its store; or what bench export wrote"
    takes: ClassVar[Mapping[str, str]] = {
        "benchmark": "one test function: it becomes the workload, and its parameters the optimizations"
    }

    def read(self, files: Sequence[Path], said: Place) -> Found | WholeRun:
        sessions = _in_time([(path, read_document(path)) for path in files])
        for path, document in sessions:
            if is_own(document):
                if len(files) > 1 or said != Place() or self.options:
                    what = "this is a run that bench exported, which tells everything itself"
                    raise wrong(path, what, "import it alone, without options")
                return whole_run(path, document)
        chosen = self.options.get("benchmark", "")
        entries = [(path, document, entry) for path, document in sessions for entry in _chosen(path, document, chosen)]
        _each_session_once(entries)
        names = _names(files[0], [entry for _, _, entry in entries], said, chosen)
        place = said.filled(workload=_safe(chosen) if chosen else "")
        kept = {path: read_text(path, HINT).encode() for path, _ in sessions}
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in kept.items()}
        imported = Imported(
            tool=self.tool,
            version=", ".join(dict.fromkeys(plain(document.get("version"), 40) for _, document in sessions))[:100],
            when=plain(sessions[0][1].get("datetime"), 40),
            files=tuple(SourceFile(name=plain(path.name), sha256=digests[path]) for path, _ in sessions),
            missing=("blocks", "proof", "device"),
        )
        return Found(
            imported,
            [_measured(path, entry, _place(document, entry, names, place)) for path, document, entry in entries],
            fingerprint=_fingerprint(sessions[0][1]),
            kept={digests[path]: content for path, content in kept.items()},
        )


def read_document(path: Path) -> Mapping[str, Any]:
    """A document whose benchmarks have names and times. Raises InputError for anything else."""
    document = read_json(path, HINT, constants=True)
    benchmarks = document.get("benchmarks") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(benchmarks, list):
        raise wrong(path, "this is no document of pytest-benchmark: it has no list of benchmarks", HINT)
    if not benchmarks and not is_own(document):
        raise wrong(path, "no benchmark ran in this session", HINT)
    for count, entry in enumerate(benchmarks, start=1):
        if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("name", "fullname")):
            raise wrong(path, f"benchmark {count} has no name", HINT)
        if not isinstance(entry.get("stats"), dict):
            raise wrong(path, f"{shown(entry['name'])} has no stats", HINT)
    return document


def _in_time(sessions: list[tuple[Path, Mapping[str, Any]]]) -> list[tuple[Path, Mapping[str, Any]]]:
    """In the order in which they ran, where all of them tell; otherwise as they were named."""
    try:
        return sorted(sessions, key=lambda session: datetime.fromisoformat(session[1]["datetime"]))
    except (KeyError, TypeError, ValueError):
        return sessions


def _chosen(path: Path, document: Mapping[str, Any], function: str) -> list[Mapping[str, Any]]:
    """Those of one test function, or all. Raises InputError where there are none."""
    benchmarks: list[Mapping[str, Any]] = document["benchmarks"]
    found = [entry for entry in benchmarks if function in ("", _function(entry))]
    if not found:
        have = ", ".join(dict.fromkeys(_function(entry) for entry in benchmarks))
        raise wrong(path, f"no benchmark in it is of {shown(function)}", f"it has: {have[:200]}")
    return found


def _function(entry: Mapping[str, Any]) -> str:
    return plain(entry["name"]).partition("[")[0]


def _each_session_once(entries: Sequence[tuple[Path, Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """A session's --benchmark-json and what its store holds have the same times, which no second session does."""
    seen: dict[tuple[str, str], Path] = {}
    for path, _, entry in entries:
        times = repr([entry["stats"].get(key) for key in ("total", "mean", "stddev", "q1", "q3")])
        if seen.setdefault((entry["fullname"], times), path) != path and entry["stats"].get("total"):
            what = f"this is of the same session as {seen[entry['fullname'], times].name}"
            raise wrong(path, what, "a session counts once: name the file of --benchmark-json, which holds each round")


def _names(path: Path, entries: Sequence[Mapping[str, Any]], said: Place, chosen: str) -> dict[str, str]:
    """Full name -> optimization: the benchmark's name, or its parameter where the function was chosen, with dashes for
    what no name may hold; where that is another's, too, with a digest of the full name."""
    full = list(dict.fromkeys(entry["fullname"] for entry in entries))
    if said.optimization:
        if len(full) > 1:
            what = f"optimization={said.optimization} is said of {len(full)} benchmarks, and each has its own name"
            raise wrong(path, what, "leave it out, or name a file of a single benchmark")
        return {full[0]: said.optimization}
    safe = {entry["fullname"]: _safe(entry["name"].removeprefix(chosen) or chosen) for entry in entries}
    taken = list(safe.values())
    return {name: short if taken.count(short) == 1 else f"{short}-{_digest(name)}" for name, short in safe.items()}


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.\-]+", "-", name).strip("-._")[:NAME_LENGTH] or "benchmark"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _place(document: Mapping[str, Any], entry: Mapping[str, Any], names: Mapping[str, str], said: Place) -> Place:
    """The machine's processor is told, and not that it, rather than a GPU, did the work: that is the user's to say."""
    modules = {one["fullname"].partition("::")[0] for one in document["benchmarks"]}
    module = _safe(Path(modules.pop()).stem) if len(modules) == 1 else ""
    return said.filled(
        workload=module,
        scenario="single_stream",
        optimization=names[entry["fullname"]],
        batch_size=1,
        device=_processor(document) if said.device_kind == "cpu" else "",
    )


def _processor(document: Mapping[str, Any]) -> str:
    machine = document.get("machine_info")
    cpu = machine.get("cpu") if isinstance(machine, dict) else None
    name, count = (cpu.get("brand_raw"), cpu.get("count")) if isinstance(cpu, dict) else (None, None)
    return f"CPU {plain(name).strip()} ({count} cores)" if plain(name).strip() and isinstance(count, int) else ""


def _measured(path: Path, entry: Mapping[str, Any], place: Place) -> Measured:
    stats, name = entry["stats"], shown(entry["name"])
    rounds = _count(path, stats, "rounds", name)
    iterations = _count(path, stats, "iterations", name)
    seconds = _data(path, stats, rounds, name) if "data" in stats else []
    total_s = sum(seconds) if seconds else number(path, stats, "mean", name, HINT) * rounds
    calls = bool(seconds) and iterations == 1
    return Measured(
        place=place,
        throughput_per_s=(place.batch_size or 1) * rounds / total_s if total_s else None,
        latencies_ms=[second * 1e3 for second in seconds] if calls else (),
        requests=rounds * iterations,
        window_s=total_s * iterations,
        detail={
            "name": plain(entry["name"]), "fullname": plain(entry["fullname"], 500), "group": plain(entry.get("group")),
            "rounds": rounds, "iterations": iterations,
        },
    )  # fmt: skip


def _count(path: Path, stats: Mapping[str, Any], key: str, name: str) -> int:
    found = stats.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise wrong(path, f"{name}: {key} is {shown(found)}, and at least 1 is needed", HINT)
    return int(possible(path, found, f"{name}: {key}", HINT))


def _data(path: Path, stats: Mapping[str, Any], rounds: int, name: str) -> list[float]:
    """Seconds of each round, for one of its calls."""
    data = stats["data"]
    if not isinstance(data, list) or len(data) != rounds:
        raise wrong(path, f"{name} has {rounds} rounds, and data of another number", HINT)
    for index, second in enumerate(data, start=1):
        if isinstance(second, bool) or not isinstance(second, int | float):
            raise wrong(path, f"{name}: round {index} is no number: {shown(second)}", HINT)
        possible(path, second, f"{name}: round {index}", HINT)
    return [float(second) for second in data]


def _fingerprint(document: Mapping[str, Any]) -> dict[str, Any]:
    """The machine and the commit: texts and numbers of them, one level deep, with the processor's name."""
    found: dict[str, Any] = {}
    for part in ("machine_info", "commit_info"):
        record = document.get(part)
        if isinstance(record, dict):
            found[part] = {plain(key): plain(value) for key, value in record.items() if isinstance(value, str)}
    if processor := _processor(document):
        found["processor"] = processor
    return found
