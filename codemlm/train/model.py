"""The masked language model over leaves: a `transformers` encoder with leaf heads."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
    initialization,
)

from codemlm.train.heads import (
    CandidateComposer,
    KeepGate,
    LeafClassifier,
    LeafEmbedding,
    gather_rows,
    use_kept_attention,
)
from codemlm.train.losses import LeafPredictionOutput, fill_keep, fill_mlm

ENCODERS: dict[str, tuple[type[PreTrainedConfig], type[PreTrainedModel]]] = {
    "modernbert": (ModernBertConfig, ModernBertModel),
    "bert": (BertConfig, BertModel),
    "roberta": (RobertaConfig, RobertaModel),
    "deberta-v2": (DebertaV2Config, DebertaV2Model),
}

ROPE = {"rope_type": "default", "rope_theta": 10_000.0}


class CodeMLMConfig(PreTrainedConfig):
    """Configuration of `CodeMLMForLeafPrediction`.

    Args:
        encoder_type: a key of `ENCODERS`.
        encoder: arguments of that family's own configuration class. Filled in unless
            given: no dropout, no token table, global attention everywhere (ModernBERT),
            relative positions (DeBERTa), room for `max_subtokens` positions. What was
            filled in is saved too, so that no later change of these defaults changes an
            old model.
        vocab_size: subtokens, 0 = pad.
        num_roles: values of `Role`.
        num_slots: slots of names, not counting 0 = no slot.
        num_node_types: grammar node types, 0 = none.
        num_global_candidates: rows of the table of frequent leaves.
        max_pieces: subtokens a candidate is cut to.
        max_subtokens: longest window, for encoders with absolute positions.
        composer_size: hidden size of the candidate composer's MLP.
        gate_size: hidden size of the keep gate's MLP.
        gate_weight: weight of the keep gate's cross entropy in the loss.
        query_gain: the query norm's gain at the start; below 1 keeps the first loss
            near log(candidates).
        train_slots: whether slot vectors are learned, or stay as drawn.
        keep_gate: whether there is a keep gate. Without one P(leaf) is the softmax alone for shown
            leaves too, as in BERT, and keep logits are 0.
        use_slots: whether the model sees the slots of names.
        use_syntax: whether it sees parent and grandparent node types.
        causal: whether a subtoken sees only what stands before it; ModernBERT with global
            attention alone, and no export. A leaf is judged from its first subtoken, which does not
            see its others, but does see its slot.
        initializer_range: standard deviation of fresh weights outside the encoder.
    """

    model_type = "codemlm"

    encoder_type: str = "modernbert"
    encoder: dict[str, Any] | None = None
    vocab_size: int = 8192
    num_roles: int = 32
    num_slots: int = 512
    num_node_types: int = 512
    num_global_candidates: int = 4096
    max_pieces: int = 8
    max_subtokens: int = 512
    composer_size: int = 512
    gate_size: int = 128
    gate_weight: float = 1.0
    query_gain: float = 0.5
    train_slots: bool = True
    keep_gate: bool = True
    use_slots: bool = True
    use_syntax: bool = True
    causal: bool = False
    initializer_range: float = 0.02
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Fills in the encoder's defaults.

        Raises:
            ValueError: unknown `encoder_type`.
        """
        self.encoder = self._encoder_settings()
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    def encoder_config(self) -> PreTrainedConfig:
        """Returns the configuration of the encoder."""
        return ENCODERS[self.encoder_type][0](**(self.encoder or {}))

    def _encoder_settings(self) -> dict[str, Any]:
        """Returns what was given of the encoder, over the defaults."""
        if self.encoder_type not in ENCODERS:
            known = ", ".join(sorted(ENCODERS))
            raise ValueError(f"unknown encoder_type {self.encoder_type!r}; known: {known}")
        given = dict(self.encoder or {})
        settings: dict[str, Any] = {
            # The encoder only ever sees inputs_embeds: one (frozen) row is its whole table.
            "vocab_size": 1,
            "pad_token_id": 0,
            "bos_token_id": None,
            "eos_token_id": None,
            # 0.02 belongs to width 768; the variance of a layer's output goes with width.
            "initializer_range": 0.02 * math.sqrt(768 / given.get("hidden_size", 768)),
            # RoBERTa counts positions from pad_token_id + 1.
            "max_position_embeddings": self.max_subtokens + 8,
        }
        if self.encoder_type == "modernbert":
            layers = given.get("num_hidden_layers", ModernBertConfig.num_hidden_layers)
            settings["layer_types"] = ["full_attention"] * layers
            # "silu" takes half of its time on a CPU, but old models were saved without it.
            settings["hidden_activation"] = "gelu"
            settings |= dict.fromkeys(("cls_token_id", "sep_token_id"))
            # ModernBERT's 160,000 is for windows of 8,192.
            settings["rope_parameters"] = {
                kind: dict(ROPE) for kind in ("full_attention", "sliding_attention")
            }
        else:
            settings |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
            settings["type_vocab_size"] = 0 if self.encoder_type == "deberta-v2" else 1
        if self.encoder_type == "deberta-v2":
            settings |= {"relative_attention": True, "position_biased_input": False}
            settings |= {"pos_att_type": ["p2c", "c2p"], "share_att_key": True}
            settings |= {"position_buckets": 128, "norm_rel_ebd": "layer_norm"}
        return settings | given


class CodeMLMForLeafPrediction(PreTrainedModel):
    """Scores candidate leaves at selected places, and every leaf's chance of being meant."""

    config_class = CodeMLMConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    _supports_sdpa = True

    config: CodeMLMConfig
    global_candidate_ids: Tensor

    def __init__(self, config: CodeMLMConfig) -> None:
        super().__init__(config)
        encoder_config = config.encoder_config()
        width: int = encoder_config.hidden_size
        self.embed = LeafEmbedding(
            config.vocab_size, config.num_roles, config.num_slots, config.num_node_types, width
        )
        encoder: Any = ENCODERS[config.encoder_type][1](encoder_config)
        if hasattr(encoder, "pooler"):
            encoder.pooler = None  # never read, yet it would be saved
        encoder.get_input_embeddings().requires_grad_(False)
        self.keeps_attention = use_kept_attention(encoder, causal=config.causal)
        if config.causal and not self.keeps_attention:
            raise ValueError("causal needs encoder_type modernbert with full_attention layers")
        self.encoder = encoder
        self.composer = CandidateComposer(width, config.composer_size, config.max_pieces)
        self.classifier = LeafClassifier(width, config.num_global_candidates, config.query_gain)
        self.gate = KeepGate(width, config.gate_size)
        self.embed.slot.requires_grad_(config.train_slots)
        shape = (config.num_global_candidates, config.max_pieces)
        self.register_buffer("global_candidate_ids", torch.zeros(shape, dtype=torch.long))
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Module:
        """Returns the subtoken table."""
        return self.embed.token

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, nn.Linear):
            # Keeps the variance: at width 256, 0.02 would shrink it threefold a layer.
            std = 1 / math.sqrt(module.in_features)
            initialization.normal_(module.weight, std=std)
        if isinstance(module, CandidateComposer):
            initialization.normal_(module.down.weight, std=self.config.initializer_range)
            initialization.normal_(
                module.slot_map.weight, std=0.5 * module.slot_map.in_features**-0.5
            )
        if isinstance(module, LeafClassifier):
            initialization.zeros_(module.global_bias)
            initialization.constant_(module.norm.weight, module.query_gain)
        if isinstance(module, KeepGate):
            initialization.normal_(module.out.weight, std=self.config.initializer_range)
        if module is self and not getattr(self.global_candidate_ids, "_is_hf_initialized", False):
            initialization.zeros_(self.global_candidate_ids)

    @torch.no_grad()
    def set_global_candidates(self, ids: Tensor, counts: Tensor | None = None) -> None:
        """Sets the table of frequent leaves.

        Args:
            ids: int64 (G, P), subtokens, 0 = pad.
            counts: float (G,), how often each leaf was seen; the biases then start at
                its log-probability (centred), so that the model starts at the unigram.

        Raises:
            ValueError: the shape is not the configuration's (G, P).
        """
        if ids.shape != self.global_candidate_ids.shape:
            want = tuple(self.global_candidate_ids.shape)
            raise ValueError(f"global candidates have shape {tuple(ids.shape)}, not {want}")
        self.global_candidate_ids.copy_(ids)
        if counts is not None:
            logp = torch.log(counts.double().clamp(min=1))
            self.classifier.global_bias.copy_(logp - logp.mean())

    def encode(
        self,
        input_ids: Tensor,
        role_ids: Tensor,
        slot_ids: Tensor,
        parent_ids: Tensor,
        grandparent_ids: Tensor,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Returns the encoder's output (B, T, D); arguments int64 (B, T), mask bool (B, T)."""
        if not self.config.use_slots:
            slot_ids = torch.zeros_like(slot_ids)
        if not self.config.use_syntax:
            parent_ids = grandparent_ids = torch.zeros_like(parent_ids)
        vectors = self.embed(input_ids, role_ids, slot_ids, parent_ids, grandparent_ids)
        mask: Any = attention_mask
        if self.keeps_attention:
            mask = {"full_attention": attention_mask}
        encoded = self.encoder(inputs_embeds=vectors, attention_mask=mask)
        hidden: Tensor = encoded.last_hidden_state
        return hidden

    def leaf_logits(
        self,
        hidden: Tensor,
        candidate_ids: Tensor,
        candidate_slots: Tensor,
        candidate_global: Tensor,
    ) -> Tensor:
        """Returns logits (B, K, G + C) for hidden states (B, K, D) at leaves.

        Args: as in `forward`.
        """
        batch, local, pieces = candidate_ids.shape
        every = torch.cat([self.global_candidate_ids, candidate_ids.reshape(-1, pieces)])
        vectors = self.composer.compose(self.embed.token.weight, every)
        split = self.global_candidate_ids.shape[0]
        local_vectors = vectors[split:].view(batch, local, -1)
        if self.config.use_slots:
            slots = self.composer.slots(self.embed.slot.weight, candidate_slots)
            local_vectors = local_vectors + slots
        real = (candidate_ids != 0).any(-1)
        logits: Tensor = self.classifier(
            hidden, vectors[:split], local_vectors, real, candidate_global
        )
        return logits

    def keep_logits(self, at_leaf: Tensor) -> Tensor:
        """Returns keep logits (...) for hidden states (..., D) at leaves; 0 without a gate."""
        if not self.config.keep_gate:
            return torch.zeros(at_leaf.shape[:-1], dtype=at_leaf.dtype, device=at_leaf.device)
        logits: Tensor = self.gate(at_leaf)
        return logits

    def forward(
        self,
        input_ids: Tensor,
        role_ids: Tensor,
        slot_ids: Tensor,
        parent_ids: Tensor,
        grandparent_ids: Tensor,
        attention_mask: Tensor | None = None,
        leaf_positions: Tensor | None = None,
        keep_targets: Tensor | None = None,
        selected_positions: Tensor | None = None,
        targets: Tensor | None = None,
        shown: Tensor | None = None,
        candidate_ids: Tensor | None = None,
        candidate_slots: Tensor | None = None,
        candidate_global: Tensor | None = None,
        return_logits: bool | None = None,
    ) -> LeafPredictionOutput:
        """Returns losses, logits and counts for a batch of windows.

        Args:
            input_ids: int64 (B, T), 0 = pad; role_ids, slot_ids, parent_ids and
                grandparent_ids likewise.
            attention_mask: bool (B, T). None = nothing is padded, which is faster.
            leaf_positions: int64 (B, L), first subtoken of each leaf to score, -1 = pad.
            keep_targets: float (B, L), 1 = the shown leaf is the intended one.
            selected_positions: int64 (B, K), first subtoken of each selected leaf, -1 = pad.
            targets: int64 (B, K), g or G + c, -100 = pad.
            shown: int64 (B, K), the shown leaf likewise, -1 = masked or unknown.
            candidate_ids: int64 (B, C, P), 0 = pad.
            candidate_slots: int64 (B, C), 0 = none.
            candidate_global: int64 (B, C), the global entry it stands for, or -1.
            return_logits: whether to return `leaf_logits` and `hidden_states`; None = only
                outside training.
        """
        hidden = self.encode(
            input_ids, role_ids, slot_ids, parent_ids, grandparent_ids, attention_mask
        )
        wants_logits = not self.training if return_logits is None else return_logits
        out = LeafPredictionOutput(hidden_states=hidden if wants_logits else None)
        if leaf_positions is not None:
            out.keep_logits = self.keep_logits(gather_rows(hidden, leaf_positions))
            if keep_targets is not None:
                fill_keep(out, leaf_positions >= 0, keep_targets)
        if selected_positions is not None:
            assert candidate_ids is not None
            assert candidate_slots is not None
            assert candidate_global is not None
            at_leaf = gather_rows(hidden, selected_positions)
            logits = self.leaf_logits(at_leaf, candidate_ids, candidate_slots, candidate_global)
            if wants_logits:
                out.leaf_logits = logits
            if targets is not None:
                shown = torch.full_like(targets, -1) if shown is None else shown
                real = (targets >= 0) & (selected_positions >= 0)
                keep = self.gate(at_leaf) if self.config.keep_gate else None
                fill_mlm(out, logits, targets, shown, keep, real)
        if out.mlm_loss is not None and out.keep_loss is not None and self.config.keep_gate:
            out.loss = out.mlm_loss + self.config.gate_weight * out.keep_loss
        elif out.mlm_loss is not None:
            out.loss = out.mlm_loss
        return out


AutoConfig.register(CodeMLMConfig.model_type, CodeMLMConfig)
AutoModel.register(CodeMLMConfig, CodeMLMForLeafPrediction)
