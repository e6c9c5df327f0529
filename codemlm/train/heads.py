"""Input embedding, candidate composer, leaf classifier, keep gate, and fast attention.

The modules here know nothing of encoder families. Shapes use the letters of the
training batch: B windows, T subtokens, L scored leaves, K selected leaves, C local
candidates a window, G global candidates, P pieces a candidate, D model width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.modernbert.modeling_modernbert import ModernBertAttention

NEGATIVE = -30000.0
"""Stands for -inf in logits: representable in bfloat16, and never makes a NaN."""


class LeafEmbedding(nn.Module):
    """Sum of what is known of each subtoken: text, role, slot, parent and grandparent.

    No normalisation: each encoder family normalises its `inputs_embeds` itself.
    """

    def __init__(
        self, vocab_size: int, num_roles: int, num_slots: int, num_node_types: int, width: int
    ) -> None:
        super().__init__()
        self.token = nn.Embedding(vocab_size, width, padding_idx=0)
        self.role = nn.Embedding(num_roles, width)
        # Row 0 is "no slot": a zero vector, at inputs and at candidates.
        self.slot = nn.Embedding(num_slots + 1, width, padding_idx=0)
        self.parent = nn.Embedding(num_node_types, width)
        self.grandparent = nn.Embedding(num_node_types, width)

    def forward(
        self,
        input_ids: Tensor,
        role_ids: Tensor,
        slot_ids: Tensor,
        parent_ids: Tensor,
        grandparent_ids: Tensor,
    ) -> Tensor:
        """Returns the summed vectors (B, T, D); every argument is int64 (B, T)."""
        known: Tensor = self.token(input_ids) + self.role(role_ids) + self.slot(slot_ids)
        known = known + self.parent(parent_ids) + self.grandparent(grandparent_ids)
        return known


class CandidateComposer(nn.Module):
    """Makes one vector of a candidate leaf's subtokens, and of its slot.

    mean over pieces of (token vector + piece-position vector) -> LayerNorm -> residual
    MLP; a local candidate adds a linear map of its (normalised) slot vector.
    """

    def __init__(self, width: int, hidden: int, max_pieces: int) -> None:
        super().__init__()
        self.max_pieces = max_pieces
        self.piece_position = nn.Embedding(max_pieces, width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.slot_map = nn.Linear(width, width, bias=False)

    def compose(self, token_table: Tensor, ids: Tensor) -> Tensor:
        """Returns candidate vectors (N, D).

        Args:
            token_table: (V, D), the embedding of the input.
            ids: int64 (N, P), 0 = pad. A row of pads gives a vector without meaning.
        """
        real = (ids != 0).to(token_table.dtype)
        count = real.sum(-1, keepdim=True).clamp(min=1)
        total = F.embedding_bag(ids, token_table, mode="sum", padding_idx=0)
        # real @ positions: a matmul of inner size P instead of a gather of N * P rows.
        mean = (total + real @ self.piece_position.weight) / count
        mean = self.norm(mean)
        composed: Tensor = mean + self.down(F.gelu(self.up(mean)))
        return composed

    def slots(self, slot_table: Tensor, slot_ids: Tensor) -> Tensor:
        """Returns W * slot vector (..., D), zero for slot 0.

        Normalised first: slot vectors are as small as the input embedding's other terms.
        Mapping the table and gathering the result costs S rows, not B * C.
        """
        mapped: Tensor = self.slot_map(F.layer_norm(slot_table, slot_table.shape[-1:]))
        return F.embedding(slot_ids, mapped, padding_idx=0)


class LeafClassifier(nn.Module):
    """Logits over global and local candidates: a scaled dot product with the query."""

    def __init__(self, width: int, num_global: int, query_gain: float) -> None:
        super().__init__()
        self.query_gain = query_gain
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.global_bias = nn.Parameter(torch.zeros(num_global))

    def query(self, hidden: Tensor) -> Tensor:
        """Returns queries (..., D), already divided by sqrt(D)."""
        normed: Tensor = self.norm(F.gelu(self.dense(hidden)))
        return normed * math.sqrt(1 / hidden.shape[-1])

    def forward(
        self,
        hidden: Tensor,
        global_vectors: Tensor,
        local_vectors: Tensor,
        local_is_real: Tensor,
        local_to_global: Tensor,
    ) -> Tensor:
        """Returns logits (B, K, G + C), `NEGATIVE` where a candidate does not compete.

        Args:
            hidden: (B, K, D), the encoder's output at the selected leaves.
            global_vectors: (G, D).
            local_vectors: (B, C, D).
            local_is_real: bool (B, C), False at pads.
            local_to_global: int64 (B, C), the global entry which this local candidate
                stands for in this window (-1 = none): that entry is excluded.
        """
        query = self.query(hidden)
        global_logits = F.linear(query, global_vectors, self.global_bias)
        local_logits = query @ local_vectors.transpose(1, 2)
        excluded = excluded_globals(local_to_global, local_is_real, global_vectors.shape[0])
        global_logits = global_logits.masked_fill(excluded[:, None], NEGATIVE)
        local_logits = local_logits.masked_fill(~local_is_real[:, None], NEGATIVE)
        return torch.cat([global_logits, local_logits], dim=-1)


class KeepGate(nn.Module):
    """Logit that the shown leaf is the intended one, from the hidden state at its place."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Returns keep logits (...) for hidden states (..., D)."""
        logits: Tensor = self.out(F.gelu(self.dense(hidden)))
        return logits.squeeze(-1)


def excluded_globals(local_to_global: Tensor, local_is_real: Tensor, num_global: int) -> Tensor:
    """Returns bool (B, G): the global entries for which a local candidate stands."""
    batch = local_to_global.shape[0]
    # Column G collects the candidates that stand for none, and is cut off.
    index = torch.where(local_is_real & (local_to_global >= 0), local_to_global, num_global)
    marks = torch.zeros(batch, num_global + 1, dtype=torch.bool, device=index.device)
    return marks.scatter(1, index, True)[:, :num_global]


def gather_rows(states: Tensor, positions: Tensor) -> Tensor:
    """Returns states (B, T, D) at positions int64 (B, N); -1 reads position 0."""
    index = positions.clamp(min=0)[..., None].expand(-1, -1, states.shape[-1])
    return states.gather(1, index)


def leaf_log_likelihood(
    logits: Tensor, targets: Tensor, shown: Tensor, keep_logits: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns (logp, correct): log P(target) in nats, and whether it is the best candidate.

    P(leaf) = keep * [leaf == shown] + (1 - keep) * softmax(leaf). A masked leaf (shown
    = -1) has keep = 0; a wrong shown leaf is left out of the softmax, since the first
    factor already holds all of its probability.

    Args:
        logits: (B, K, N).
        targets: int64 (B, K), -100 at pads (whose results have no meaning).
        shown: int64 (B, K), -1 = masked or unknown.
        keep_logits: (B, K).

    Returns:
        logp: float32 (B, K). correct: bool (B, K); ties count as correct.
    """
    safe = targets.clamp(min=0)[..., None]
    wrong = (shown >= 0) & (shown != targets)
    kept = (shown >= 0) & (shown == targets)
    drop = torch.where(wrong, shown, -1)[..., None]
    columns = torch.arange(logits.shape[-1], device=logits.device)
    logits = logits.masked_fill(columns == drop, NEGATIVE)
    target_logit = logits.gather(-1, safe).squeeze(-1).float()
    logp = target_logit - torch.logsumexp(logits.float(), dim=-1)
    keep_logits = keep_logits.float()
    changed = F.logsigmoid(-keep_logits) + logp
    logp = torch.where(kept, torch.logaddexp(F.logsigmoid(keep_logits), changed), logp)
    logp = torch.where(wrong, changed, logp)
    return logp, target_logit >= logits.amax(-1).float()


# ModernBERT's attention, for training on a CPU with bfloat16 matrix units. PyTorch's
# fused attention is slow backwards there: at T = 256 it takes five times as long as the
# matrix products that it consists of. Keeping the probabilities costs B * H * T * T
# values a layer, which a CPU has.


# Custom operators, so that torch.compile neither looks inside (it would rewrite the
# pattern back into the fused attention) nor traces the branch on the mask's content.
@torch.library.custom_op("codemlm::attend", mutates_args=())
def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
) -> tuple[Tensor, Tensor]:
    """Returns (out (N, T, E), probabilities (N, T, T)); q, k, v: (N, T, E), N = B * H.

    Args:
        q: queries, already scaled.
        k: keys.
        v: values.
        mask: bool (B, T), False where keys are padding.
        causal: whether keys after the query are hidden.
    """
    scores = torch.bmm(q, k.transpose(1, 2))
    if causal:
        later = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).triu(1)
        scores.masked_fill_(later, NEGATIVE)
    if mask is not None and not bool(mask.all()):
        batch, length = mask.shape
        bias = torch.where(mask, 0.0, NEGATIVE).to(scores.dtype)
        scores.view(batch, -1, length, length).add_(bias[:, None, None])
    probs = torch.softmax(scores, -1)
    return torch.bmm(probs, v), probs


@_attend.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool) -> tuple[Tensor, Tensor]:
    return torch.empty_like(q), q.new_empty(q.shape[0], q.shape[1], k.shape[1])


@torch.library.custom_op("codemlm::attend_backward", mutates_args=())
def _attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, probs: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the gradients of q, k and v."""
    grad_v = torch.bmm(probs.transpose(1, 2), grad)
    grad_probs = torch.bmm(grad, v.transpose(1, 2))
    grad_scores = torch._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
    del grad_probs
    return torch.bmm(grad_scores, k), torch.bmm(grad_scores.transpose(1, 2), q), grad_v


@_attend_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, probs: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _keep(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
    q, k, v = inputs[:3]
    ctx.save_for_backward(q, k, v, output[1])


def _backward(ctx, grad, _grad_probs):  # type: ignore[no-untyped-def]
    q, k, v, probs = ctx.saved_tensors
    return (*_attend_backward(grad.contiguous(), q, k, v, probs), None, None)


_attend.register_autograd(_backward, setup_context=_keep)


@torch.library.custom_op("codemlm::rotary_tables", mutates_args=())
def _rotary_tables(like: Tensor, length: int, size: int, theta: float) -> tuple[Tensor, Tensor]:
    """Returns (cos, sin), each (T, 2, size / 2) in `like`'s type; sin is negated in half 0.

    An operator of its own, so that torch.compile does not compute a cosine an element.
    """
    power = torch.arange(0, size, 2, dtype=torch.float32, device=like.device) / size
    angles = torch.arange(length, device=like.device)[:, None] / theta**power
    cos, sin = angles.cos(), angles.sin()
    tables = torch.stack([cos, cos], 1), torch.stack([-sin, sin], 1)
    return tables[0].to(like.dtype), tables[1].to(like.dtype)


@_rotary_tables.register_fake
def _(like: Tensor, length: int, size: int, theta: float) -> tuple[Tensor, Tensor]:
    shape = (length, 2, size // 2)
    return like.new_empty(shape), like.new_empty(shape)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Returns x (B, T, H, E) turned by the angles of `_rotary_tables`."""
    halves = x.view(*x.shape[:-1], 2, x.shape[-1] // 2)
    # flip, not cat: torch.compile turns it into an index, forwards and backwards.
    turned = halves * cos[:, None] + halves.flip(-2) * sin[:, None]
    return turned.flatten(-2)


class KeptAttention(ModernBertAttention):
    """`ModernBertAttention` (global layers) with the same parameters and results.

    Attributes:
        causal: whether a subtoken sees only what stands before it.
    """

    causal: bool = False

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        attention_mask: Tensor | None = None,
        **_: object,
    ) -> tuple[Tensor, None]:
        """Returns (B, T, D); attention_mask: bool (B, T), False at padding."""
        batch, length, _width = hidden_states.shape
        config: Any = self.config
        theta = config.rope_parameters["full_attention"]["rope_theta"]
        cos, sin = _rotary_tables(hidden_states.detach(), length, self.head_dim, theta)
        scale = self.head_dim**-0.5
        qkv = self.Wqkv(hidden_states).view(batch, length, 3, -1, self.head_dim)
        q, k, v = qkv.unbind(2)
        q = rotate(q, cos * scale, sin * scale).transpose(1, 2)
        k = rotate(k, cos, sin).transpose(1, 2)
        v = v.transpose(1, 2)
        if self.training and hidden_states.device.type == "cpu":
            flat = (x.reshape(-1, length, self.head_dim) for x in (q, k, v))
            out = _attend(*flat, attention_mask, self.causal)[0].view(q.shape)
        else:
            bias = None if attention_mask is None else attention_mask[:, None, None, :]
            if self.causal:
                before = torch.ones(length, length, dtype=torch.bool, device=q.device).tril()
                bias = before if bias is None else bias & before
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1.0)
        return self.Wo(out.transpose(1, 2).reshape(batch, length, -1)), None


def use_kept_attention(encoder: Any, *, causal: bool = False) -> bool:
    """Swaps a ModernBERT's attention for `KeptAttention`; returns whether it did.

    Not where a layer is local: those keep the library's own attention.

    Args:
        encoder: of any family.
        causal: whether a subtoken is to see only what stands before it.
    """
    if getattr(encoder.config, "model_type", "") != "modernbert":
        return False
    if set(encoder.config.layer_types) != {"full_attention"}:
        return False
    for layer in encoder.layers:
        # Same class layout and parameters: only `forward` differs.
        layer.attn.__class__ = KeptAttention
        layer.attn.causal = causal
    return True
