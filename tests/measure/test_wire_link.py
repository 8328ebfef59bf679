"""The conductor's end of the wire survives whatever a child says, and however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from bench import clock, wire
from bench.contract import Process
from bench.isolation.process import ChildProcess
from bench.measure import link as link_module
from bench.measure.link import ChildFailed, Link, await_events

INT64 = st.integers(-(2**63), 2**63 - 1)
Start = Callable[..., Link]


@given(st.lists(INT64, max_size=200), st.integers(0, 20))
def test_stamps_come_back_as_they_were(values: list[int], spare: int) -> None:
    stamps = array("q", [*values, *[0] * spare])
    if not stamps:
        return
    assert wire.unpack_integers(wire.pack_integers(stamps, len(values))).tolist() == values


@pytest.mark.parametrize("text", ["not base64!", "AAAA", None, 7])
def test_stamps_that_are_none_are_refused(text: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        wire.unpack_integers(text)  # type: ignore[arg-type]


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | INT64 | st.none(), max_size=5))
def test_a_message_is_one_line(message: dict[str, object]) -> None:
    assert wire.encode(message).count(b"\n") == 1


class Fake(Process):
    """A child that is only pipes."""

    def __init__(self) -> None:
        self.pid = 0
        self.stdin, self._stdin = os.pipe()
        self._stdout, self.stdout = os.pipe()
        self._stderr, self.stderr = os.pipe()

    def fileno(self) -> tuple[int, int, int]:
        return self._stdin, self._stdout, self._stderr

    def wait(self, timeout_s: float) -> int | None:
        return None

    def end(self) -> None:
        for fd in (self.stdin, self._stdin, self._stdout, self.stdout, self._stderr, self.stderr):
            os.close(fd)


@given(
    st.lists(st.text("ab\u00e9\u2028 ", max_size=30), min_size=1, max_size=6),
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
)
def test_lines_may_arrive_in_any_pieces(texts: list[str], cuts: list[int]) -> None:
    fake = Fake()
    link = Link(fake, "tenant0")
    try:
        stream = b"".join(wire.encode({"event": "said", "text": text}) for text in texts)
        position = number = 0
        while position < len(stream):
            size = cuts[number % len(cuts)]
            os.write(fake.stdout, stream[position : position + size])
            link.take(link.descriptors()[0])
            position, number = position + size, number + 1
        assert [event["text"] for event in link.events] == texts
    finally:
        fake.end()


@given(st.binary(max_size=300))
def test_any_bytes_are_events_or_one_clear_failure(noise: bytes) -> None:
    fake = Fake()
    link = Link(fake, "tenant0")
    try:
        os.write(fake.stdout, noise + b"\n")
        link.take(link.descriptors()[0])
        assert all(isinstance(event["event"], str) for event in link.events)
    except ChildFailed as error:
        assert error.reason.startswith("tenant0")
        assert "\n" not in error.reason
        error.reason.encode()  # printable, whatever it was
    finally:
        fake.end()


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a child that runs a piece of Python; `event(name, **fields)` is at hand in it."""
    links: list[Link] = []
    prelude = """
import json, os, signal, sys, time
def event(name, **fields):
    os.write(1, json.dumps({"event": name, **fields}).encode() + b"\\n")
"""

    def make(code: str, name: str = "tenant0") -> Link:
        links.append(Link(ChildProcess([sys.executable, "-c", prelude + code], dict(os.environ)), name))
        return links[-1]

    yield make
    for link in links:
        link.end()


def soon(seconds: float = 30.0) -> int:
    return clock.now_ns() + int(seconds * 1e9)


def failure(links: list[Link], event: str = "ready", seconds: float = 30.0) -> str:
    with pytest.raises(ChildFailed) as caught:
        await_events(links, event, soon(seconds))
    return caught.value.reason


def test_answers_come_in_the_order_of_the_links(start: Start) -> None:
    slow = start("time.sleep(0.2); event('ready', n=0)", "tenant0")
    fast = start("event('ready', n=1); time.sleep(60)", "tenant1")
    assert [answer["n"] for answer in await_events([slow, fast], "ready", soon())] == [0, 1]


def test_events_nobody_waits_for_are_passed_over(start: Start) -> None:
    link = start("event('noise'); event('ready', n=1); event('later', n=2); time.sleep(60)")
    assert await_events([link], "ready", soon())[0]["n"] == 1
    assert await_events([link], "later", soon())[0]["n"] == 2


def test_a_child_that_exits_is_told_of_with_its_last_words(start: Start) -> None:
    reason = failure([start("print('no such model', file=sys.stderr); sys.exit(5)")])
    assert reason == "tenant0 exited with status 5; last words: no such model"


def test_a_child_that_dies_silently_left_no_words(start: Start) -> None:
    assert failure([start("os._exit(0)")]) == "tenant0 exited with status 0; it left no words"


def test_a_child_that_is_killed_is_told_of_with_the_signal(start: Start) -> None:
    assert "was killed by signal 9" in failure([start("os.kill(os.getpid(), signal.SIGKILL)")])


def test_one_death_ends_the_waiting_for_all(start: Start) -> None:
    links = [start("time.sleep(60)", "tenant0"), start("sys.exit(1)", "tenant1")]
    assert failure(links).startswith("tenant1 exited")


def test_an_answer_before_the_death_still_counts(start: Start) -> None:
    dead = start("event('ready', n=1)", "tenant0")
    late = start("time.sleep(0.5); event('ready', n=2)", "tenant1")
    assert [answer["n"] for answer in await_events([dead, late], "ready", soon())] == [1, 2]


def test_a_child_that_says_nothing_ends_with_the_deadline(start: Start) -> None:
    reason = failure([start("print('thinking', file=sys.stderr, flush=True); time.sleep(60)")], seconds=1.0)
    assert reason.startswith("tenant0 did not answer 'ready' within its limit")


def test_only_those_that_are_late_are_named(start: Start) -> None:
    links = [start("event('ready'); time.sleep(60)", "tenant0"), start("time.sleep(60)", "tenant1")]
    assert failure(links, seconds=1.0).startswith("tenant1 did not answer")


@pytest.mark.parametrize("line", ["hello", "[1, 2]", '{"event": 3}', "{}", "null", "", "\\xff\\xfe", '{"event": "a"'])
def test_what_is_not_the_protocol_is_shown(start: Start, line: str) -> None:
    reason = failure([start(f"os.write(1, b'{line}\\n'); time.sleep(60)")])
    assert reason.startswith("tenant0 sent something that is not the protocol")


def test_deeply_nested_nonsense_is_not_the_protocol(start: Start) -> None:
    reason = failure([start("os.write(1, b'[' * 100_000 + b'\\n'); time.sleep(60)")])
    assert "not the protocol" in reason
    assert len(reason) < 1000


@pytest.mark.parametrize("half", ["\\\\ud800", "\\\\uDFFF", "\\xed\\xa0\\x80"])
def test_half_a_surrogate_is_replaced(start: Start, half: str) -> None:
    line = '{"event": "ready", "of": {"a' + half + '": ["b' + half + '", "\\xc3\\xa9"]}}'
    (answer,) = await_events([start(f"os.write(1, b'{line}\\n'); time.sleep(60)")], "ready", soon())
    assert answer["of"] == {"a?": ["b?", "\u00e9"]}


def test_what_a_child_says_of_its_own_failure_is_cut(start: Start) -> None:
    assert len(failure([start("event('failed', what='x' * 10_000_000)")])) < 3000


def test_a_line_without_end_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "LINE_LIMIT_BYTES", 1_000_000)
    assert "sent a line of more than" in failure([start("while True: os.write(1, b'x' * 10_000)")])


def test_a_large_answer_arrives_whole(start: Start) -> None:
    count = 500_000
    code = (
        "from array import array; from bench.wire import pack_integers\n"
        f"s = array('q', range({count}))\n"
        "out = os.fdopen(1, 'wb')\n"
        "out.write(json.dumps({'event': 'ready', 'stamps': pack_integers(s, len(s))}).encode() + b'\\n')\n"
        "out.flush(); time.sleep(60)"
    )
    (answer,) = await_events([start(code)], "ready", soon())
    assert np.array_equal(wire.unpack_integers(answer["stamps"]), np.arange(count))


def test_a_flood_on_stderr_blocks_nobody_and_only_its_end_is_kept(start: Start) -> None:
    link = start("[print('word', n, file=sys.stderr) for n in range(100_000)]; event('ready'); sys.exit(3)")
    await_events([link], "ready", soon())
    reason = failure([link], "more")
    assert reason.endswith("word 99999")
    assert len(reason) < 5000


def test_what_a_child_says_of_its_own_failure_is_the_reason(start: Start) -> None:
    with pytest.raises(ChildFailed, match="tenant0: no memory") as caught:
        await_events([start("event('failed', what='no memory', hint='buy some')")], "ready", soon())
    assert caught.value.told["hint"] == "buy some"


def test_sending_to_the_dead_is_no_error(start: Start) -> None:
    link = start("")
    link.process.wait(10)
    link.send(do="anything", more="x" * 200_000)
    assert "exited with status 0" in failure([link])


def test_grandchildren_end_with_the_child(start: Start) -> None:
    link = start("import subprocess; p = subprocess.Popen(['sleep', '300']); event('ready', pid=p.pid); time.sleep(60)")
    pid = await_events([link], "ready", soon())[0]["pid"]
    link.end()
    # Not ours to wait for: gone, or a zombie of init's.
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    assert not state.strip() or state.startswith("Z")


def test_a_stopped_child_ends_too(start: Start) -> None:
    link = start("event('ready'); time.sleep(60)")
    await_events([link], "ready", soon())
    os.kill(link.process.pid, signal.SIGSTOP)
    link.end()
    assert link.process.wait(1) == -signal.SIGKILL
