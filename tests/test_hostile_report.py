"""A report of a hostile run: everything in it is text, and nothing is written but the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from forked import Forked
from hostile import SCRIPT, sound_run
from made_up_runs import parquet

BREAKS = f"\"'>]]></style></script><!--{SCRIPT}<a href='javascript:alert(2)' onclick=alert(3)>\u2028{{{{7*7}}}}"
"""What ends an attribute, a style, a script or a comment, and then acts; and a template's own signs."""
NAME = '20261101 <script>alert(1)<script> " onload=alert(1)'
URLS = ("href", "src", "action", "formaction", "xlink:href", "data", "srcset", "poster")


class Page(HTMLParser):
    """What a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.urls: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self.policy = ""
        self._within = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.handlers += [f"{tag} {name}" for name in told if name.startswith("on")]
        self.urls += [told[name] for name in URLS if name in told]
        self._within = tag in ("script", "style")
        if self._within:
            self.scripts.append((told.get("type", tag), ""))
        if told.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = told["content"]

    def handle_data(self, data: str) -> None:
        if self._within:
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)

    def handle_endtag(self, tag: str) -> None:
        self._within = False

    @property
    def code(self) -> list[str]:
        """Scripts and styles."""
        return [text for kind, text in self.scripts if kind != "application/json"]


@pytest.fixture(scope="module")
def bench() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


def spoil(folder: Path) -> None:
    """Scripts wherever a record takes any text."""
    made = json.loads((folder / "plan.json").read_text())
    names = {"workload": BREAKS, "scenario": BREAKS}
    made |= {**names, "device": BREAKS, "device_kind": BREAKS, "protocol": BREAKS}
    made["trials"] = [{**trial, **names} for trial in made["trials"]]
    made["infeasible"] = [
        {"partition": BREAKS, "optimization": "int8_" + BREAKS, "reason": BREAKS, "telemetry": BREAKS}
    ]
    (folder / "plan.json").write_text(json.dumps(made))
    lines: list[dict[str, Any]] = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    told = {
        "status": "invalid",
        "reason": BREAKS,
        "gate": {"valid": False, "reasons": [BREAKS], "checks": {BREAKS: BREAKS}},
    }
    for number, line in enumerate(lines):
        line |= {**names, "device": BREAKS, "device_kind": BREAKS, "started_at": BREAKS}
        line |= {
            "artifact": {BREAKS: BREAKS},
            "proof": {"precision": BREAKS, BREAKS: [BREAKS]},
            "timing_s": {BREAKS: 1.0},
        }
        line["telemetry"] = {BREAKS: 1.0}
        line["quality"] = {**line["quality"], "baseline": BREAKS}
        if number % 9 == 0:
            line |= told
    (folder / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines) + f"{BREAKS}\n")
    fingerprint = {"cpu": BREAKS, BREAKS: {BREAKS: [BREAKS]}}
    description = {"overrides": [BREAKS], "config": {BREAKS: BREAKS}, "fingerprint": fingerprint, "started_at": BREAKS}
    (folder / "run.json").write_text(
        json.dumps({**description, "device": {"name": BREAKS}, "subject": {BREAKS: BREAKS}})
    )
    readings = {"t_ns": [1, 2], "subject": [BREAKS] * 2, "metric": [BREAKS, "cpu_s"], "value": [0.1, 0.2]}
    for path in (folder / "telemetry").iterdir():
        path.write_bytes(parquet(readings))


@pytest.fixture(scope="module")
def reports(bench: Forked, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Page, Page, dict[str, bytes]]:
    """The folder, the pages of a sound run and of the same run spoiled, and all files beside the output before."""
    here = tmp_path_factory.mktemp("hostile")
    sound_run(here / "sound")
    shutil.copytree(here / "sound", here / NAME)
    spoil(here / NAME)
    figures = [
        {"workload": BREAKS, "scenario": BREAKS, "optimization": name, "latency_ms": 1.0} for name in ("fp32", "int8_a")
    ]
    told = {"source": BREAKS, "note": BREAKS, "device": BREAKS, "device_kind": "cuda", "figures": figures}
    (here / "published.yaml").write_text(yaml.safe_dump(told))
    before = files(here)
    pages = []
    for arguments in (("sound",), (NAME, "published.yaml")):
        result = bench("report", *arguments, "--output", "out", cwd=here)
        assert result.returncode == 0, result.stderr
        pages.append(Page(Path(here, result.stdout.strip()).read_text()))
    return here, *pages, before


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".out", ".err") and "out" not in path.relative_to(folder).parts
    }


def test_only_files_in_the_output_folder_were_written(reports: tuple[Path, Page, Page, dict[str, bytes]]) -> None:
    here, _, _, before = reports
    assert files(here) == before
    assert {path.suffix for path in (here / "out").iterdir()} == {".html", ".md", ".csv"}
    assert all(path.is_file() and not path.is_symlink() for path in (here / "out").iterdir())


def test_nothing_of_a_run_becomes_a_tag_or_a_handler(reports: tuple[Path, Page, Page, dict[str, bytes]]) -> None:
    _, sound, spoiled, _ = reports
    assert not {"img", "iframe", "object", "embed", "base", "link", "form", "video", "audio", "marquee"} & spoiled.tags
    assert spoiled.handlers == sound.handlers == []


def test_no_script_comes_from_data(reports: tuple[Path, Page, Page, dict[str, bytes]]) -> None:
    _, sound, spoiled, _ = reports
    assert sound.code and spoiled.code == sound.code
    for kind, text in spoiled.scripts:
        assert kind != "application/json" or ("<" not in text and json.loads(text) is not None)


def test_every_link_stays_within_the_page(reports: tuple[Path, Page, Page, dict[str, bytes]]) -> None:
    _, sound, spoiled, _ = reports
    assert sound.urls and [url for url in (*sound.urls, *spoiled.urls) if not url.startswith("#")] == []
    assert "default-src 'none'" in spoiled.policy  # and a browser would load nothing anyway


def test_templates_are_not_filled_in_twice(reports: tuple[Path, Page, Page, dict[str, bytes]]) -> None:
    here, _, _, _ = reports
    for path in (here / "out").iterdir():
        if path.name.startswith("2026") and path.suffix == ".html":
            assert "{{7*7}}" in path.read_text()  # where it is shown it is shown as it stands
            break
    else:
        pytest.fail("the report of the hostile run has another name")


def test_json_is_plain(bench: Forked, reports: tuple[Path, Page, Page, dict[str, bytes]]) -> None:
    here, _, _, _ = reports
    result = bench("report", NAME, "--json", "--output", "out", cwd=here)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout, parse_constant=lambda text: pytest.fail(f"{text} in JSON"))
