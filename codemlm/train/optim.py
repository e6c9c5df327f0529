"""AdamW with fp32 master weights, and gradients over micro-batches and processes.

The model's own parameters may be bf16. Eight bits of mantissa lose every update smaller than
1/256 of a weight, so the optimiser keeps fp32 copies ("master weights"), updates those, and
rounds them into the model after each step. All state lives in four flat fp32 tensors (master,
gradient, two moments): one kernel a formula, one all-reduce a step, one tensor a file entry.

The loss is a mean over all selected leaves of a step, plus a mean over all its scored leaves. A
process or micro-batch that holds a part of the windows weights its own means by its share of
those leaves, so the gradient is that of the whole step however it was cut.

Source: Loshchilov & Hutter, arXiv 1711.05101, algorithm 2 (AdamW); Micikevicius et al.,
arXiv 1710.03740, section 3.1 (master weights). ``tests/unit/test_loop.py`` compares it with
``torch.optim.AdamW`` in fp32. Differs from it in holding its state flat, in parameters without
a gradient (they are given a zero gradient, so weight decay still applies) and in clipping inside.
"""

from __future__ import annotations

import inspect
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from codemlm.errors import CheckpointError, UsageError
from codemlm.train.checkpoint import COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codemlm.train.config import TrainConfig
    from codemlm.train.loop import Batch

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
        self.parameters: list[torch.Tensor] = [parameter for _, parameter in named]
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
        parts = torch.split(flat, [parameter.numel() for parameter in self.parameters])
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
        norm: torch.Tensor = torch.linalg.vector_norm(self.grad)
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
            CheckpointError: the state is of a model with other parameters.
        """
        if [(name, list(shape)) for name, shape in layout] != self.layout:
            theirs, ours = {n: tuple(s) for n, s in layout}, {n: tuple(s) for n, s in self.layout}
            odd = sorted(n for n in theirs | ours if theirs.get(n) != ours.get(n))
            raise CheckpointError(
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

    @classmethod
    def join(cls, device_type: str) -> Ranks:
        """Joins the group that torchrun set up; alone where there is none."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ.get("RANK", "0"))
        if world > 1 and not dist.is_initialized():
            # Small host tensors (counts, flags) always go by gloo; gradients of a GPU by nccl.
            dist.init_process_group("cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo")
        return cls(rank, world)

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


@dataclass(frozen=True, slots=True)
class Counts:
    """What some windows hold: selected leaves, scored leaves, and subtokens that are not pads."""

    selected: int
    leaves: int
    subtokens: int

    @classmethod
    def of(cls, batch: Batch) -> Counts:
        """Counts a batch."""
        selected = (batch["targets"] >= 0) & (batch["selected_positions"] >= 0)
        leaves = batch["leaf_positions"] >= 0
        return cls(int(selected.sum()), int(leaves.sum()), int(batch["attention_mask"].sum()))


class Learner:
    """A model on its device, with its optimiser and its share of each step's windows."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.device = _device(config.device)
        self.ranks = Ranks.join(self.device.type)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        per_process = (cores or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        torch.set_num_threads(config.threads or max(1, per_process))
        self.model = model.to(self.device).train()
        self.optimizer = MasterAdamW(
            model,
            betas=(config.beta1, config.beta2),
            eps=config.eps,
            weight_decay=config.weight_decay,
        )
        # Parameters only: buffers such as rotary frequencies stay fp32.
        for parameter in model.parameters():
            parameter.data = parameter.data.to(getattr(torch, config.dtype))
        self.ranks.copy_from_first([self.optimizer.master])
        self.optimizer.write_back()
        wants_compile = config.compile == "on" or (
            config.compile == "auto" and self.device.type == "cuda"
        )
        self.forward: Any = torch.compile(model) if wants_compile else model
        self.inputs = set(inspect.signature(model.forward).parameters)
        self.micro_batches = config.micro_batches
        self.seed = config.seed
        self.sums = StepSums(self.ranks, self.device)

    def train_step(self, batch: Batch, step: int, total: Counts, lr: float, clip: float) -> None:
        """Does one update, and adds its figures to `sums`.

        Args:
            batch: this process's windows.
            step: number of the step, from 0; seeds dropout.
            total: counts over all processes.
            lr: learning rate.
            clip: largest gradient norm.
        """
        seed = np.random.SeedSequence([self.seed, step, self.ranks.rank])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        rows = len(batch["input_ids"]) // self.micro_batches
        for part in range(self.micro_batches):
            piece = {name: a[part * rows : (part + 1) * rows] for name, a in batch.items()}
            objective, figures = self._run(piece, total)
            objective.backward()  # type: ignore[no-untyped-call]
            self.optimizer.collect(first=part == 0)
            self.sums.add(figures)
        self.ranks.sum(self.optimizer.grad)
        norm = self.optimizer.step(lr, clip)
        first = self.ranks.rank == 0
        self.sums.add({"n_steps": float(first), "grad_norm": norm if first else 0.0})

    def evaluate(self, batches: list[Batch]) -> dict[str, float]:
        """Sums over validation batches; every process takes its share of them."""
        each = [Counts.of(batch) for batch in batches]
        total = Counts(sum(c.selected for c in each), sum(c.leaves for c in each), 0)
        sums = StepSums(self.ranks, self.device)
        sums.add(dict.fromkeys(("loss", "mlm_loss", "keep_loss", "masked_nll", *COUNTS), 0.0))
        self.model.eval()
        with torch.no_grad():
            for batch in batches[self.ranks.rank :: self.ranks.world]:
                sums.add(self._run(batch, total)[1])
        self.model.train()
        return sums.fold() | {"n_steps": 1.0}

    def _run(self, batch: Batch, total: Counts) -> tuple[torch.Tensor, dict[str, Any]]:
        """The part of the step's loss that falls to these windows, and figures to be summed."""
        inputs = {n: self._move(a) for n, a in batch.items() if n in self.inputs}
        if bool(batch["attention_mask"].all()):
            inputs.pop("attention_mask", None)  # attention without a mask is faster
        out = self.forward(**inputs)
        here = Counts.of(batch)
        of_selected = here.selected / max(1, total.selected)
        of_leaves = here.leaves / max(1, total.leaves)
        loss = of_selected * out.mlm_loss + of_leaves * (out.loss - out.mlm_loss)
        figures = {
            "loss": loss,
            "mlm_loss": of_selected * out.mlm_loss,
            "keep_loss": of_leaves * out.keep_loss,
        }
        figures |= {
            name: value for name in COUNTS if (value := getattr(out, name, None)) is not None
        }
        if (nll := getattr(out, "masked_loss", None)) is not None:
            figures["masked_nll"] = nll.detach() * out.n_masked
        return loss, figures

    def _move(self, array: np.ndarray) -> torch.Tensor:
        """The array on the device."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor

    def finite(self) -> bool:
        """Whether all master weights are finite numbers."""
        return bool(torch.isfinite(self.optimizer.master).all())


def _device(name: str) -> torch.device:
    """The device of this process.

    Raises:
        UsageError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device {name} cannot be used here ({error}); try --device cpu"
        ) from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
