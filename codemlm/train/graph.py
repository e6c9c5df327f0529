"""The model as ONNX Runtime is to run it: candidates composed beforehand, fused operators.

Letters of shapes as in `codemlm.train.heads`.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codemlm.backend import INPUT_NAMES
from codemlm.train.heads import NEGATIVE
from codemlm.train.model import CodeMLMForLeafPrediction

_CONTRIB = "com.microsoft"


class ScoringGraph(nn.Module):
    """Keep logits and leaf logits at `leaf_positions`, from the inputs that a scan has.

    Gives what `CodeMLMForLeafPrediction` gives, up to rounding; a candidate that does not compete
    has a logit of about `NEGATIVE`. Everything that no input changes is computed here, once:
    vectors of the global candidates, slot vectors as candidates see them, rotary angles.

    Args:
        model: in float32; it is copied, not changed.
    """

    def __init__(self, model: CodeMLMForLeafPrediction) -> None:
        super().__init__()
        model = copy.deepcopy(model).requires_grad_(False)
        model.train(False)
        self.embed = model.embed
        self.body: nn.Module = ModernBertBody(model) if model.keeps_attention else FamilyBody(model)
        self.composer = model.composer
        self.gate = model.gate
        self.dense = model.classifier.dense
        self.norm = model.classifier.norm
        width = self.dense.in_features
        for parameter in self.norm.parameters():  # `LeafClassifier.query` divides by sqrt(D)
            parameter.mul_(width**-0.5)
        vectors = self.composer.compose(self.embed.token.weight, model.global_candidate_ids)
        everything = torch.arange(self.embed.slot.num_embeddings)
        self.global_vectors: Tensor
        self.global_bias: Tensor
        self.slot_vectors: Tensor
        self.register_buffer("global_vectors", vectors.T.contiguous())
        # One column more, to take the marks of candidates that stand for no global one.
        self.register_buffer("global_bias", F.pad(model.classifier.global_bias, (0, 1)))
        self.register_buffer(
            "slot_vectors", self.composer.slots(self.embed.slot.weight, everything)
        )
        self.embed.token.weight[0] = 0.0  # padding; the composer adds it to every candidate

    def forward(
        self,
        input_ids: Tensor,
        role_ids: Tensor,
        slot_ids: Tensor,
        parent_ids: Tensor,
        grandparent_ids: Tensor,
        attention_mask: Tensor,
        leaf_positions: Tensor,
        candidate_ids: Tensor,
        candidate_slots: Tensor,
        candidate_global: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Returns keep logits (B, L) and leaf logits (B, L, G + C); arguments as in the model's."""
        vectors = self.embed(input_ids, role_ids, slot_ids, parent_ids, grandparent_ids)
        hidden = self.body(vectors, attention_mask)
        rows = leaf_positions.clamp(min=0)[..., None].expand(-1, -1, hidden.shape[-1])
        at_leaf = hidden.gather(1, rows)
        query = self.norm(F.gelu(self.dense(at_leaf)))
        local_vectors = self.compose(candidate_ids) + F.embedding(
            candidate_slots, self.slot_vectors
        )
        is_real = candidate_ids[..., 0] != 0
        size = self.global_vectors.shape[1]
        stands_for = torch.where(is_real & (candidate_global >= 0), candidate_global, size)
        bias = self.global_bias.expand(input_ids.shape[0], -1)
        bias = bias.scatter(1, stands_for, NEGATIVE)[:, None, :size]
        local_bias = torch.where(is_real, 0.0, NEGATIVE)[:, None]
        global_logits = query @ self.global_vectors + bias
        local_logits = query @ local_vectors.transpose(1, 2) + local_bias
        return self.gate(at_leaf), torch.cat([global_logits, local_logits], dim=-1)

    def compose(self, ids: Tensor) -> Tensor:
        """Returns vectors (B, C, D) for pieces (B, C, P); as `CandidateComposer.compose`."""
        composer = self.composer
        real = (ids != 0).to(self.global_vectors.dtype)
        count = real.sum(-1, keepdim=True).clamp(min=1)
        total = self.embed.token(ids).sum(-2) + real @ composer.piece_position.weight
        mean = composer.norm(total / count)
        composed: Tensor = mean + composer.down(F.gelu(composer.up(mean)))
        return composed


class FamilyBody(nn.Module):
    """An encoder as its family computes it."""

    def __init__(self, model: CodeMLMForLeafPrediction) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, vectors: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, T, D) for input vectors (B, T, D) and a mask bool (B, T)."""
        hidden: Tensor = self.encoder(
            inputs_embeds=vectors, attention_mask=attention_mask
        ).last_hidden_state
        return hidden


class ModernBertBody(nn.Module):
    """A ModernBERT whose layers are all global."""

    def __init__(self, model: CodeMLMForLeafPrediction) -> None:
        super().__init__()
        encoder = model.encoder
        self.norm = encoder.embeddings.norm
        self.layers = nn.ModuleList(ModernBertLayer(layer) for layer in encoder.layers)
        self.final_norm = encoder.final_norm
        size = encoder.config.hidden_size // encoder.config.num_attention_heads
        theta = encoder.config.rope_parameters["full_attention"]["rope_theta"]
        power = torch.arange(0, size, 2, dtype=torch.float64) / size
        angles = torch.arange(model.config.max_subtokens)[:, None] / theta**power
        self.register_buffer("cos", angles.cos().float())
        self.register_buffer("sin", angles.sin().float())

    def forward(self, vectors: Tensor, attention_mask: Tensor) -> Tensor:
        """Returns (B, T, D) for input vectors (B, T, D) and a mask bool (B, T)."""
        hidden = self.norm(vectors)
        for layer in self.layers:
            hidden = layer(hidden, attention_mask, self.cos, self.sin)
        encoded: Tensor = self.final_norm(hidden)
        return encoded


class ModernBertLayer(nn.Module):
    """One layer, its stacked matrices taken apart: ONNX Runtime would copy out each product."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.size: int = layer.attn.head_dim
        self.attn_norm = layer.attn_norm  # nn.Identity in the first layer
        self.query, self.key, self.value = _parts(layer.attn.Wqkv, 3)
        self.attn_out = layer.attn.Wo
        self.mlp_norm = layer.mlp_norm
        self.act = layer.mlp.act
        self.up, self.multiplier = _parts(layer.mlp.Wi, 2)
        self.down = layer.mlp.Wo

    def forward(self, hidden: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Returns (B, T, D); mask: bool (B, T), cos and sin: (longest T, head size / 2)."""
        normed = self.attn_norm(hidden)
        attend = _attend_fused if torch.compiler.is_exporting() else _attend
        q, k, v = self.query(normed), self.key(normed), self.value(normed)
        hidden = hidden + self.attn_out(attend(q, k, v, mask, cos, sin))
        normed = self.mlp_norm(hidden)
        changed: Tensor = self.down(self.act(self.up(normed)) * self.multiplier(normed))
        return hidden + changed


def _parts(linear: nn.Linear, count: int) -> list[nn.Linear]:
    """A linear layer as `count` layers, each giving an equal share of its outputs."""
    size = linear.out_features // count
    parts = []
    for i in range(count):
        part = nn.Linear(linear.in_features, size, bias=linear.bias is not None)
        part.weight = nn.Parameter(linear.weight[i * size : (i + 1) * size].clone(), False)
        if linear.bias is not None:
            part.bias = nn.Parameter(linear.bias[i * size : (i + 1) * size].clone(), False)
        parts.append(part)
    return parts


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Attention with rotary positions, (B, T, D); in PyTorch, for `codemlm.train.quantize`."""
    batch, length, width = q.shape
    half = cos.shape[1]
    cos, sin = cos[:length, None], sin[:length, None]

    def heads(x: Tensor, rotate: bool) -> Tensor:
        x = x.view(batch, length, -1, 2 * half)
        if rotate:
            a, b = x[..., :half], x[..., half:]
            x = torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
        return x.transpose(1, 2)

    out = F.scaled_dot_product_attention(
        heads(q, True), heads(k, True), heads(v, False), attn_mask=mask[:, None, None]
    )
    return out.transpose(1, 2).reshape(batch, length, width)


def _attend_fused(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, cos: Tensor, sin: Tensor
) -> Tensor:
    """The same by ONNX Runtime's own operators, for tracing alone: they compute nothing here."""
    symbolic = torch.onnx.ops.symbolic
    heads = q.shape[-1] // (2 * cos.shape[1])
    start = torch.zeros(1, dtype=torch.int64)

    def rotate(x: Tensor) -> Tensor:
        return symbolic(
            f"{_CONTRIB}::RotaryEmbedding",
            (x, start, cos, sin),
            {"num_heads": heads},
            dtype=x.dtype,
            shape=x.shape,
            version=1,
        )

    return symbolic(
        f"{_CONTRIB}::MultiHeadAttention",
        (rotate(q), rotate(k), v, None, mask.to(torch.int32)),
        {"num_heads": heads, "mask_filter_value": NEGATIVE},
        dtype=q.dtype,
        shape=q.shape,
        version=1,
    )


def example_inputs(config: Any, batch: int = 2) -> dict[str, Tensor]:
    """Inputs of the right types, by name; the sizes mean nothing."""
    subtokens, leaves, candidates = min(24, config.max_subtokens), 5, 7
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(INPUT_NAMES[:6], (batch, subtokens))
    shapes["leaf_positions"] = (batch, leaves)
    shapes["candidate_ids"] = (batch, candidates, config.max_pieces)
    shapes |= dict.fromkeys(("candidate_slots", "candidate_global"), (batch, candidates))
    inputs = {name: torch.ones(shapes[name], dtype=torch.int64) for name in INPUT_NAMES}
    inputs["attention_mask"] = torch.ones(batch, subtokens, dtype=torch.bool)
    return inputs
