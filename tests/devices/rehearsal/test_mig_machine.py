"""Whatever is created and destroyed, in whatever order: the rehearsed GPU stays possible, and its answers true."""

from __future__ import annotations

import ctypes
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pynvml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rehearsed import DISABLE, ENABLE, all_instances, create, loaded, mig_uuids, new, places, refused, remove

from bench.devices import catalog

MODELS = ["a30-24gb", "a100-40gb", "h200-141gb", "rtx-pro-6000-96gb"]


class MigMachine(RuleBasedStateMachine):
    """`made`: handle and profile id of every instance that was created and not destroyed."""

    @initialize(model=st.sampled_from(MODELS))
    def begin(self, model: str) -> None:
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.gpu = self.stack.enter_context(loaded(new(folder, model)))
        self.model, self.on = catalog.model(model), False
        self.made: list[tuple[Any, int]] = []

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    @rule()
    def switch_on(self) -> None:
        pynvml.nvmlDeviceSetMigMode(self.gpu, ENABLE)
        self.on = True

    @rule()
    def switch_off(self) -> None:
        if self.made:
            with refused("IN_USE"):
                pynvml.nvmlDeviceSetMigMode(self.gpu, DISABLE)
        else:
            pynvml.nvmlDeviceSetMigMode(self.gpu, DISABLE)
            self.on = False

    @precondition(lambda self: self.on)
    @rule(data=st.data())
    def create_where_the_driver_likes(self, data: st.DataObject) -> None:
        profile = data.draw(st.sampled_from(self.model.profiles))
        if self.capacity(profile.id):
            self.made.append((create(self.gpu, profile.id)[0], profile.id))
        else:
            with refused("INSUFFICIENT_RESOURCES"):
                create(self.gpu, profile.id)

    @precondition(lambda self: self.on)
    @rule(data=st.data())
    def create_at_a_place(self, data: st.DataObject) -> None:
        profile = data.draw(st.sampled_from(self.model.profiles))
        start = data.draw(st.sampled_from(self.possible(profile.id)))
        place = pynvml.c_nvmlGpuInstancePlacement_t(start=start, size=profile.size)
        arguments = (self.gpu, profile.id, ctypes.byref(place))
        wanted = set(range(start, start + profile.size))
        alike = sum(profile_id == profile.id for _, profile_id in self.made)
        if wanted & self.taken() or alike == profile.max_instances:
            with refused("INSUFFICIENT_RESOURCES"):
                pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(*arguments)
        else:
            made = pynvml.nvmlDeviceCreateGpuInstanceWithPlacement(*arguments)
            assert places([made])[0][1:] == (start, profile.size)
            self.made.append((made, profile.id))

    @precondition(lambda self: self.on and self.made)
    @rule(data=st.data())
    def destroy(self, data: st.DataObject) -> None:
        gone = data.draw(st.sampled_from(self.made))
        remove([gone[0]])
        self.made.remove(gone)
        with refused("INVALID_ARGUMENT"):
            pynvml.nvmlGpuInstanceGetInfo(gone[0])

    @precondition(lambda self: self.on)
    @invariant()
    def instances_do_not_overlap_and_are_those_that_were_made(self) -> None:
        found = places([handle for handle, _ in self.made])
        assert len(self.taken()) == sum(size for _, _, size in found)
        assert len({number for number, _, _ in found}) == len(found)
        assert len(set(mig_uuids(self.gpu))) == len(mig_uuids(self.gpu)) <= self.model.compute_slices
        listed = [one for profile in self.model.profiles for one in all_instances(self.gpu, profile.id)]
        assert sorted(places(listed)) == sorted(found)

    @precondition(lambda self: self.on)
    @invariant()
    def capacity_is_the_number_of_free_places(self) -> None:
        taken = self.taken()
        for profile in self.model.profiles:
            free = [s for s in self.possible(profile.id) if taken.isdisjoint(range(s, s + profile.size))]
            alike = sum(profile_id == profile.id for _, profile_id in self.made)
            assert self.capacity(profile.id) == min(len(free), profile.max_instances - alike)

    def taken(self) -> set[int]:
        found = places([handle for handle, _ in self.made])
        return {cell for _, start, size in found for cell in range(start, start + size)}

    def capacity(self, profile_id: int | None) -> int:
        return int(pynvml.nvmlDeviceGetGpuInstanceRemainingCapacity(self.gpu, profile_id))

    def possible(self, profile_id: int | None) -> list[int]:
        room, count = (pynvml.c_nvmlGpuInstancePlacement_t * 16)(), ctypes.c_uint()
        pynvml.nvmlDeviceGetGpuInstancePossiblePlacements(self.gpu, profile_id, room, ctypes.byref(count))
        return [place.start for place in room[: count.value]]


TestMigMachine = MigMachine.TestCase
TestMigMachine.settings = settings(max_examples=30, stateful_step_count=25)
