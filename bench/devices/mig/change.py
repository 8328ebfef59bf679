"""Changing a GPU's MIG layout: to a wished state, only where it differs, and back.

Nothing is touched that bench did not create. What stands in the way is told, never removed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.contract import Gpu
from bench.devices import nvml
from bench.devices.geometry import Placement, Profile
from bench.devices.mig import journal
from bench.devices.mig.guard import made_by_us, refuse
from bench.devices.mig.instances import MigDevice, create_gpu_instance, destroy, fill, mig_devices
from bench.devices.mig.journal import Created, Journal
from bench.devices.mig.layout import MigState, read_state
from bench.devices.nvml import NvmlError, Session
from bench.errors import BenchError, InfeasibleHere


@dataclass(frozen=True)
class Wanted:
    """MIG off, or on with exactly these instances."""

    on: bool
    placements: tuple[Placement, ...] = ()

    def fits(self, state: MigState) -> bool:
        """Whether the GPU is so already: the same profiles, wherever they stand, each with one compute instance. A GPU
        without MIG is as one with MIG off."""
        if not self.on:
            return not state.on
        profiles = [placement.profile for placement in self.placements]
        if not state.on or state.instances is None:
            return bool(state.on) and _same_sizes(state.sizes, profiles)
        there = sorted(instance.profile_id for instance in state.instances)
        whole = all(len(instance.compute_instances) == 1 for instance in state.instances)
        return whole and there == sorted(profile.id or 0 for profile in profiles)


def _same_sizes(sizes: Sequence[tuple[int, int]], profiles: Sequence[Profile]) -> bool:
    """Whether MIG devices are of these profiles, as far as sizes tell: by compute slices, and memory within 5 %."""
    wanted = sorted((profile.compute_slices, (profile.memory_bytes or 0) // 2**20) for profile in profiles)
    return len(sizes) == len(wanted) and all(
        slices == asked and abs(memory - expected) <= 0.05 * expected
        for (slices, memory), (asked, expected) in zip(sorted(sizes), wanted, strict=True)
    )


class NotRestored(BenchError):
    """A layout of ours is still in place. The journal knows the way back."""

    exit_code = 3


@contextmanager
def applied(gpu: Gpu, wanted: Wanted, may_change: bool = True) -> Iterator[list[MigDevice]]:
    """The GPU in the wanted layout, used as it is where it fits (and only so, unless `may_change`); as it was before
    when the context ends, however it ends. Raises InfeasibleHere when something stands in the way, NvmlError, and
    NotRestored.

    No session is open while the context lasts: an open one would keep the mode from being changed."""
    with journal.owned(gpu.address.uuid):
        _clear_leftovers(gpu)
        book = None
        try:
            with nvml.session(gpu.address.driver) as session:
                devices = _reach(session, gpu, wanted, kept=False, may_change=may_change)
            book = journal.read(gpu.address.uuid)
            yield devices
        finally:
            _clear_leftovers(gpu, book)  # should somebody have removed its file


def keep(gpu: Gpu, wanted: Wanted) -> list[MigDevice]:
    """Change to the wanted layout and leave it so until `put_back`. What an earlier `keep` created may go for it."""
    with journal.owned(gpu.address.uuid):
        _clear_leftovers(gpu)
        before = journal.read(gpu.address.uuid)
        try:
            with nvml.session(gpu.address.driver) as session:
                return _reach(session, gpu, wanted, kept=True)
        except BaseException:  # also Ctrl-C: half a layout is none
            book = journal.read(gpu.address.uuid)
            if before is None and book is not None:
                _restore(gpu, book)
            raise


def put_back(gpu: Gpu) -> Journal | None:
    """Undo what `keep`, or a run that was killed, left. The journal of what was undone; None: there was nothing."""
    with journal.owned(gpu.address.uuid):
        book = journal.read(gpu.address.uuid)
        if book is not None:
            _restore(gpu, book)
        return book


def _clear_leftovers(gpu: Gpu, remembered: Journal | None = None) -> None:
    """Bring back what this run, or one that was killed, changed for its own use."""
    book = journal.read(gpu.address.uuid) or remembered
    if book is not None and not book.kept:
        _restore(gpu, book)


def _reach(session: Session, gpu: Gpu, wanted: Wanted, kept: bool, may_change: bool = True) -> list[MigDevice]:
    state = _state(session, gpu)
    if not wanted.fits(state):
        if not may_change:
            raise InfeasibleHere(
                "the MIG layout is another one by now, and bench may not change it",
                where=gpu.address.uuid,
                hint="`bench mig status` shows it; allow_reconfigure=true lets a partition change it",
            )
        _change(session, gpu, state, wanted, kept)
        state = _state(session, gpu)
        if not wanted.fits(state):
            raise InfeasibleHere(
                "the driver made another MIG layout than it was asked for",
                where=gpu.address.uuid,
                hint="`nvidia-smi mig -lgi` shows it; another program may be dividing the GPU",
            )
    return mig_devices(session, session.device(gpu.address.uuid)) if wanted.on else []


def _change(session: Session, gpu: Gpu, state: MigState, wanted: Wanted, kept: bool) -> None:
    book = _living(gpu, journal.read(gpu.address.uuid))  # only ever one of `keep`: others were cleared
    if book and not kept:
        raise InfeasibleHere(
            "this layout was made by `bench mig apply`, and a run does not change it",
            where=gpu.address.uuid,
            hint="bench mig restore, or use it as it is: partitions=[mig] with its profiles",
        )
    refuse(session, gpu, state, book.created if book else ())
    book = book or Journal(uuid=gpu.address.uuid, was_on=bool(state.on), kept=kept, boot=boot_of(gpu))
    journal.write(book)
    handle = session.device(gpu.address.uuid)
    for instance in state.instances or ():  # all of them ours, or `refuse` had refused
        destroy(session, handle, instance)
    book = book.model_copy(update={"created": ()})
    journal.write(book)
    _set_mode(session, gpu, wanted.on)
    handle = session.device(gpu.address.uuid)
    for placement in wanted.placements:
        book = _create(session, handle, book, placement)


def _create(session: Session, handle: Any, book: Journal, placement: Placement) -> Journal:
    """Written down before it is there, and again once the driver has given it a number."""
    assert placement.profile.id is not None
    intent = Created(profile_id=placement.profile.id, start=placement.start)
    journal.write(book.model_copy(update={"created": (*book.created, intent)}))
    try:
        number = create_gpu_instance(session, handle, placement)
    except NvmlError as error:
        if error.code == "INSUFFICIENT_RESOURCES":  # certainly not made: what stands there is somebody else's
            journal.write(book)
        raise
    made = intent.model_copy(update={"number": number})
    book = book.model_copy(update={"created": (*book.created, made)})
    journal.write(book)
    fill(session, handle, number)
    return book


def _living(gpu: Gpu, book: Journal | None) -> Journal | None:
    """What the journal still knows: instances went with a reboot, and whatever is there now is not ours."""
    if book is None or book.boot == boot_of(gpu):
        return book
    return book.model_copy(update={"created": (), "boot": boot_of(gpu)})


def boot_of(gpu: Gpu) -> str | None:
    """Which run of its machine the GPU is in; None: a rehearsed one knows no reboot."""
    return None if gpu.address.driver else journal.this_boot()


def _restore(gpu: Gpu, book: Journal) -> None:
    """Destroy what the journal says that we created, bring the mode back, remove the journal. Ctrl-C has to wait."""
    book = _living(gpu, book) or book
    with _undisturbed():
        try:
            with nvml.session(gpu.address.driver) as session:
                handle = session.device(gpu.address.uuid)
                state = _state(session, gpu)
                if state.instances is None:
                    raise NvmlError("NO_PERMISSION", "reading the layout", hint="do it as the user who changed it")
                ours = [instance for instance in state.instances if made_by_us(instance, book.created)]
                for instance in ours:
                    destroy(session, handle, instance)
                if book.was_on or len(ours) == len(state.instances):  # others' instances need the mode on
                    _set_mode(session, gpu, book.was_on)
        except BenchError as error:
            raise NotRestored(
                f"the MIG layout could not be brought back: {error.what}",
                where=f"{gpu.address.uuid} ({error.where})",
                hint=f"end what uses the GPU, then: bench mig restore; {error.hint}",
            ) from error
        journal.remove(gpu.address.uuid)


def _set_mode(session: Session, gpu: Gpu, on: bool) -> None:
    """Switch MIG on or off. Where the driver only promises it for after a reset, take the promise back and refuse."""
    wanted = [on, on]
    mode = session.do("nvmlDeviceGetMigMode", session.device(gpu.address.uuid))
    if [bool(part) for part in mode] == wanted:
        return
    session.do("nvmlDeviceSetMigMode", session.device(gpu.address.uuid), int(on))
    current, pending = session.do("nvmlDeviceGetMigMode", session.device(gpu.address.uuid))
    if [bool(current), bool(pending)] == wanted:
        return
    session.do("nvmlDeviceSetMigMode", session.device(gpu.address.uuid), current)
    raise InfeasibleHere(
        f"MIG would only be switched {'on' if on else 'off'} by a reset: other programs hold the GPU",
        where=gpu.address.uuid,
        hint=f"end them (see `fuser -v /dev/nvidia*`); by hand: nvidia-smi -i {gpu.address.uuid} -mig {int(on)}",
    )


def _state(session: Session, gpu: Gpu) -> MigState:
    profile_ids = [profile.id for profile in gpu.profiles if profile.id is not None]
    return read_state(session, session.device(gpu.address.uuid), profile_ids)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until this is done: half a way back is no way back. By handlers, not by a mask: a mask
    holds for one thread, and libraries start others."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda found, frame: noted.append(found)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for found in noted[:1]:
            signal.raise_signal(found)
