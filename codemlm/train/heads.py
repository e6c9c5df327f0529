"""Input embedding, candidate composer, leaf classifier and keep gate.

The modules here know nothing of encoder families. Shapes use the letters of the
training batch: B windows, T subtokens, L scored leaves, K selected leaves, C local
candidates a window, G global candidates, P pieces a candidate, D model width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        return known + self.parent(parent_ids) + self.grandparent(grandparent_ids)


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
        mapped = self.slot_map(F.layer_norm(slot_table, slot_table.shape[-1:]))
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
        return normed * hidden.shape[-1] ** -0.5

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
