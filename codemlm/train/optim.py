"""AdamW with fp32 master weights, and the gradient exchange between processes.

The model's own parameters may be bf16. Eight bits of mantissa lose every update smaller than
1/256 of a weight, so the optimiser keeps fp32 copies ("master weights"), updates those, and
rounds them into the model after each step. All state lives in four flat fp32 tensors (master,
gradient, two moments): one kernel a formula, one all-reduce a step, one tensor a file entry.

Source: Loshchilov & Hutter, arXiv 1711.05101, algorithm 2 (AdamW); Micikevicius et al.,
arXiv 1710.03740, section 3.1 (master weights). ``tests/unit/test_loop.py`` compares it with
``torch.optim.AdamW`` in fp32. Differs from it in holding its state flat, in parameters without
a gradient (they are given a zero gradient, so weight decay still applies) and in clipping inside.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from codemlm.errors import CodemlmError

Layout = list[tuple[str, list[int]]]


def decays(name: str, module: nn.Module, parameter: nn.Parameter) -> bool:
    """True if weight decay applies: matrices of layers, not biases, norms or embeddings."""
    if parameter.ndim < 2 or isinstance(module, nn.Embedding) or "Norm" in type(module).__name__:
        return False
    return "embed" not in name.lower()


def parameter_groups(
    model: nn.Module,
) -> tuple[list[tuple[str, nn.Parameter]], list[tuple[str, nn.Parameter]]]:
    """The trainable parameters in two named lists: those with weight decay, those without.

    A parameter shared by two modules appears once; it decays only if it does in every place.
    """
    verdict: dict[int, bool] = {}
    named: dict[int, tuple[str, nn.Parameter]] = {}
    for prefix, module in model.named_modules():
        for short, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            name = f"{prefix}.{short}" if prefix else short
            key = id(parameter)
            named.setdefault(key, (name, parameter))
            verdict[key] = verdict.get(key, True) and decays(name, module, parameter)
    with_decay = [named[key] for key, decay in verdict.items() if decay]
    without = [named[key] for key, decay in verdict.items() if not decay]
    return with_decay, without


class MasterAdamW:
    """AdamW over fp32 master weights of a model whose parameters may be bf16.

    Attributes:
        master: float32 (N,), the weights; decayed parameters first.
        grad: float32 (N,), the gradient of the step under way.
        exp_avg: float32 (N,), first moment.
        exp_avg_sq: float32 (N,), second moment.
        steps: number of updates done.
        layout: name and shape of each parameter, in the order of the flat tensors.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        with_decay, without = parameter_groups(model)
        named = with_decay + without
        if not named:
            raise ValueError("the model has no trainable parameter")
        self.parameters = [parameter for _, parameter in named]
        self.layout: Layout = [(name, list(parameter.shape)) for name, parameter in named]
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.steps = 0
        self.n_decay = sum(parameter.numel() for _, parameter in with_decay)
        self.master = torch.cat([p.detach().reshape(-1).float() for p in self.parameters])
        self.grad = torch.zeros_like(self.master)
        self.exp_avg = torch.zeros_like(self.master)
        self.exp_avg_sq = torch.zeros_like(self.master)

    def _views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """Views of a flat tensor with the parameters' shapes."""
        parts = flat.split([parameter.numel() for parameter in self.parameters])
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]

    @torch.no_grad()
    def collect(self, *, first: bool) -> None:
        """Moves the parameters' gradients into `grad`: replacing it if `first`, else adding."""
        if first:
            self.grad.zero_()
        for view, parameter in zip(self._views(self.grad), self.parameters, strict=True):
            if parameter.grad is not None:
                view.add_(parameter.grad)
                parameter.grad = None

    @torch.no_grad()
    def step(self, lr: float, max_norm: float) -> torch.Tensor:
        """Clips `grad`, updates master weights and model; returns the norm before clipping.

        The norm stays on the device, a 0-d float32 tensor, so that a GPU need not wait.
        """
        norm = torch.linalg.vector_norm(self.grad)
        if max_norm > 0:
            self.grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
        self.steps += 1
        beta1, beta2 = self.betas
        self.master[: self.n_decay].mul_(1 - lr * self.weight_decay)
        self.exp_avg.lerp_(self.grad, 1 - beta1)
        self.exp_avg_sq.mul_(beta2).addcmul_(self.grad, self.grad, value=1 - beta2)
        correction = math.sqrt(1 - beta2**self.steps)
        denominator = (self.exp_avg_sq.sqrt() / correction).add_(self.eps)
        self.master.addcdiv_(self.exp_avg, denominator, value=-lr / (1 - beta1**self.steps))
        self.write_back()
        return norm

    @torch.no_grad()
    def write_back(self) -> None:
        """Rounds the master weights into the model's parameters."""
        torch._foreach_copy_(self.parameters, self._views(self.master))

    def tensors(self) -> dict[str, torch.Tensor]:
        """The state to save: master weights and both moments, flat, in the order of `layout`."""
        return {
            "master": self.master,
            "exp_avg": self.exp_avg,
            "exp_avg_sq": self.exp_avg_sq,
        }

    def load(self, tensors: dict[str, torch.Tensor], layout: Layout, steps: int) -> None:
        """Restores what `tensors` returned, and the model's parameters with it.

        Raises:
            CodemlmError: the state is of a model with other parameters.
        """
        if [(name, list(shape)) for name, shape in layout] != self.layout:
            theirs, ours = {n: tuple(s) for n, s in layout}, {n: tuple(s) for n, s in self.layout}
            odd = sorted(n for n in theirs | ours if theirs.get(n) != ours.get(n))
            raise CodemlmError(
                f"the checkpoint is of another model: {', '.join(odd[:3]) or 'order'} differ; "
                "use the model settings that it was trained with, or a new --out folder"
            )
        for name, own in self.tensors().items():
            own.copy_(tensors[name])
        self.steps = steps
        self.write_back()


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together (torchrun sets the environment)."""

    rank: int
    world: int
    local_rank: int

    @classmethod
    def join(cls, device_type: str) -> Ranks:
        """Joins the group that torchrun set up; alone where there is none."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ.get("RANK", "0"))
        if world > 1 and not dist.is_initialized():
            # Small host tensors (counts, flags) always go by gloo; gradients of a GPU by nccl.
            dist.init_process_group("cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo")
        return cls(rank, world, int(os.environ.get("LOCAL_RANK", "0")))

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sums a tensor over all processes, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def copy_from_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Overwrites the tensors with those of rank 0."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def sum_counts(self, counts: list[int]) -> list[int]:
        """Sums whole numbers over all processes."""
        if self.world == 1:
            return counts
        return [int(n) for n in self.sum(torch.tensor(counts, dtype=torch.int64)).tolist()]

    def wait(self) -> None:
        """Returns when every process has come here."""
        if self.world > 1:
            dist.barrier()

    def leave(self) -> None:
        """Leaves the group."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()


class StepSums:
    """Sums of per-step figures, kept on the device until they are read (reading waits for a GPU).

    Each process adds its share; `fold` gives rank 0 the total of all, so that a checkpoint holds
    a half-finished logging interval and a resumed run prints the same line.
    """

    def __init__(self, ranks: Ranks, device: torch.device) -> None:
        self.ranks, self.device = ranks, device
        self.values: dict[str, torch.Tensor] = {}

    def add(self, figures: dict[str, Any]) -> None:
        """Adds this process's share; every process must add the same names."""
        for name, value in figures.items():
            share = torch.as_tensor(value, device=self.device).detach().double()
            self.values[name] = self.values[name] + share if name in self.values else share

    def fold(self) -> dict[str, float]:
        """The totals over all processes; afterwards rank 0 holds them and the others zeros."""
        if not self.values:
            return {}
        names = sorted(self.values)
        flat = self.ranks.sum(torch.stack([self.values[name] for name in names]))
        totals = dict(zip(names, flat.tolist(), strict=True))
        share = 1.0 if self.ranks.rank == 0 else 0.0
        self.values = {n: self.values[n].new_tensor(totals[n] * share) for n in names}
        return totals

    def restore(self, totals: dict[str, float]) -> None:
        """Takes up what `fold` returned in an earlier run."""
        share = 1.0 if self.ranks.rank == 0 else 0.0
        self.values = {
            name: torch.tensor(total * share, dtype=torch.float64, device=self.device)
            for name, total in totals.items()
        }
