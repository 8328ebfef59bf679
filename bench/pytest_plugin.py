"""The fixture `bench_trial`: a team's own pytest suite measures callables with bench's loop, gate and telemetry.

pytest imports this in every session of every project beside which bench is installed, so nothing of bench that takes
time is imported before a test asks for the fixture (docs/pytest.md).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.suite import CHILD

if TYPE_CHECKING:
    from bench.suite.fixture import BenchTrial
    from bench.suite.session import Session

FIXTURE = "bench_trial"
PROTOCOL = "standard"
TESTS_FAILED, INTERRUPTED = 1, 2


class Plugin:
    """Of one session of pytest. `chosen`: the tests of a session that another one started for a further block."""

    def __init__(self, config: pytest.Config, chosen: list[str] | None) -> None:
        self._config = config
        self._chosen = chosen
        self.session: Session | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Every second block in reverse, so that a drift over two of them cancels (bench/plan/blocks.py)."""
        if self._chosen is not None:
            chosen = set(self._chosen)
            config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
            items[:] = [item for item in items if item.nodeid in chosen]
        places = [place for place, item in enumerate(items) if FIXTURE in getattr(item, "fixturenames", ())]
        if not places or config.option.collectonly or _in_worker(config):
            return
        self._begin()
        assert self.session is not None
        if self.session.block % 2 == 0:
            for place, item in zip(places, [items[place] for place in reversed(places)], strict=True):
                items[place] = item

    @pytest.fixture
    def bench_trial(self, request: pytest.FixtureRequest) -> BenchTrial:
        """Measure a callable in this process and store it as a trial: `bench_trial(encode, text)`."""
        if _in_worker(request.config):
            pytest.fail("bench_trial measures one test after the other, and pytest-xdist runs others beside it:\n"
                        "  hint: run these tests with -n 0", pytrace=False)  # fmt: skip
        from bench.suite.fixture import BenchTrial

        if self.session is None:  # a plug-in asked for the fixture after collection
            self._begin()
        assert self.session is not None
        return BenchTrial(self.session, request.node.nodeid, request.config.getoption("bench_strict"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.session is None:
            return
        self.session.close()
        blocks = session.config.getoption("bench_blocks")
        ended = session.exitstatus in (0, TESTS_FAILED) and not session.shouldfail and not session.shouldstop
        if self._chosen is None and blocks > 1 and self.session.tests and ended:
            try:
                self._further(session, blocks)
            except KeyboardInterrupt:  # what is finished is stored, and pytest tells the rest
                session.exitstatus = INTERRUPTED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.session is None or not self.session.measured or not self.session.folder:
            return
        from bench.suite.told import lines

        terminalreporter.ensure_newline()
        terminalreporter.section(FIXTURE)
        for line in lines(self.session.folder):
            terminalreporter.write_line(line)

    def _begin(self) -> None:
        from bench.errors import BenchError
        from bench.suite.names import suite_name
        from bench.suite.opened import Asked
        from bench.suite.session import Session

        config = self._config
        run = config.getoption("bench_run")
        asked = Asked(
            suite=suite_name(config.getoption("bench_suite") or config.rootpath.name),
            project=config.rootpath,
            protocol=config.getoption("bench_protocol"),
            results=config.rootpath / "results",
            run=Path(run).expanduser().resolve() if run else None,
        )
        try:
            self.session = Session(asked)
        except BenchError as error:
            raise pytest.UsageError(str(error)) from error

    def _further(self, session: pytest.Session, blocks: int) -> None:
        from bench.suite.blocks import further

        assert self.session is not None and self.session.folder is not None
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        invoked = session.config.invocation_params
        if reporter:  # with -q it has not told where it is, and so does not know that its line is not at an end
            reporter.ensure_newline() if reporter.currentfspath else reporter.line("")
        for number in range(2, blocks + 1):
            if reporter:
                reporter.write_line(f"{FIXTURE}: block {number} of {blocks}, in a fresh process")
            ended = further(
                list(map(str, invoked.args)), invoked.dir, self.session.folder, self.session.tests,
                session.config.rootpath, session.config.inipath,
            )  # fmt: skip
            if ended.status:
                session.exitstatus = session.exitstatus or ended.status
                if reporter:
                    reporter.section(f"{FIXTURE}: block {number} ended with status {ended.status}")
                    reporter.write_line(ended.printed)
            if ended.status not in (0, TESTS_FAILED):
                return


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bench", "bench: measured callables (bench_trial)")
    group.addoption("--bench-run", metavar="FOLDER", help="add this session's block to that run, made if it is not there: --bench-run=FOLDER. Default: a new run in results/")  # fmt: skip  # noqa: E501
    group.addoption("--bench-blocks", metavar="N", type=_positive, default=1, help="measure N blocks: N - 1 further processes of pytest, one after the other")  # fmt: skip  # noqa: E501
    group.addoption("--bench-protocol", metavar="NAME", default=PROTOCOL, help=f"how long a callable warms up and is measured: {PROTOCOL} (default), smoke, publish or your own")  # fmt: skip  # noqa: E501
    group.addoption("--bench-suite", metavar="NAME", help="what the results call this suite. Default: the name of the root folder")  # fmt: skip  # noqa: E501
    group.addoption("--bench-strict", action="store_true", help="a test fails when its trial is invalid")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Before anything is loaded from what may be the wrong root."""
    known = early_config.known_args_namespace
    if known.bench_run is None or known.inifilename is not None:
        return
    from bench.suite.command_line import RUN, misplaced

    if folder := misplaced(args, early_config.invocation_params.dir):
        raise pytest.UsageError(
            f"pytest took the run's folder for a folder with tests\n  in {RUN} {folder}\n  hint: write {RUN}={folder}"
        )


def pytest_configure(config: pytest.Config) -> None:
    chosen = None
    if CHILD in os.environ:
        from bench.suite.blocks import chosen_tests

        chosen = chosen_tests()
    config.pluginmanager.register(Plugin(config, chosen), "bench-session")


def _in_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _positive(text: str) -> int:
    import argparse

    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of blocks: say 1 to 10000")
    return int(text)
