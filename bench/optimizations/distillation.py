"""A smaller model that learnt from the original."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.contract import Device, Pass, Workload, plugin


@plugin
class Distill(Pass):
    """The workload's student, trained to give the teacher's answers."""

    prepared: ClassVar[bool] = True

    seed: int = 0

    def infeasible(self, workload: Workload, device: Device) -> str | None:
        name = type(workload).__name__
        if not workload.trainable:
            return f"distillation needs training data, and the workload {name} has none"
        if type(workload).student is Workload.student:
            return f"distillation needs a student model, and the workload {name} names none"
        return None

    def apply(self, model: Any, workload: Workload) -> Any:
        student = self.skeleton(workload)
        workload.finetune(student, model.eval(), self.seed)
        return student.eval()

    def skeleton(self, workload: Workload) -> Any:
        import torch

        torch.manual_seed(self.seed)  # so that even a workload that forgets to seed starts from the same weights
        return workload.student()
