"""The model against a slow, obvious reference, and what its callers rely on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel
from transformers.models.modernbert.modeling_modernbert import ModernBertModel

from codemlm.train.heads import excluded_globals, leaf_log_likelihood
from codemlm.train.model import ENCODERS, CodeMLMConfig, CodeMLMForLeafPrediction

B, T, L, K, C, P, G = 2, 12, 5, 4, 3, 4, 6
VOCAB, ROLES, SLOTS, NODES, WIDTH = 30, 5, 7, 9, 16
PAIRED = ("input_ids", "role_ids", "slot_ids", "parent_ids", "grandparent_ids")


def make_model(
    family: str = "modernbert", layers: int = 2, **settings: Any
) -> CodeMLMForLeafPrediction:
    """A tiny model of a family in float64, with biases and norms off their neutral values."""
    torch.manual_seed(0)
    config = CodeMLMConfig(
        encoder_type=family,
        encoder={
            "hidden_size": WIDTH,
            "num_hidden_layers": layers,
            "num_attention_heads": 2,
            "intermediate_size": 24,
        },
        vocab_size=VOCAB,
        num_roles=ROLES,
        num_slots=SLOTS,
        num_node_types=NODES,
        num_global_candidates=G,
        max_pieces=P,
        max_subtokens=T,
        composer_size=10,
        gate_size=8,
        **settings,
    )
    model = CodeMLMForLeafPrediction(config)
    with torch.no_grad():
        for head in (model.composer, model.classifier, model.gate):
            for parameter in head.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.set_global_candidates(pieces(G))
    return model.double()


def pieces(rows: int) -> Tensor:
    """Candidates (rows, P) of one to P pieces, the same for the same number."""
    generator = torch.Generator().manual_seed(rows)
    lengths = torch.arange(rows)[:, None] % P + 1
    ids = torch.randint(1, VOCAB, (rows, P), generator=generator)
    return torch.where(torch.arange(P) < lengths, ids, 0)


def make_batch() -> dict[str, Tensor]:
    """A batch with every kind of row: masked, kept, wrong, padded, excluded globals."""
    generator = torch.Generator().manual_seed(1)
    highs = (VOCAB, ROLES, SLOTS + 1, NODES, NODES)
    batch = {
        name: torch.randint(1, high, (B, T), generator=generator)
        for name, high in zip(PAIRED, highs, strict=True)
    }
    batch["attention_mask"] = torch.ones(B, T, dtype=torch.bool)
    batch["attention_mask"][1, 9:] = False
    batch["leaf_positions"] = torch.tensor([[0, 2, 3, 7, -1], [1, 4, 8, -1, -1]])
    batch["keep_targets"] = torch.tensor([[1.0, 0, 1, 1, 0], [0, 1, 1, 1, 1]])
    batch["selected_positions"] = torch.tensor([[1, 2, 3, 5], [4, 6, 7, -1]])
    batch["targets"] = torch.tensor([[G + 1, 2, G, 5], [0, G + 1, G, -100]])
    # masked, wrong (a local), kept, masked / kept, wrong (a global), masked, pad
    batch["shown"] = torch.tensor([[-1, G + 2, G, -1], [0, 5, -1, -1]])
    batch["candidate_ids"] = pieces(B * C).view(B, C, P)
    batch["candidate_ids"][1, 2] = 0
    batch["candidate_slots"] = torch.tensor([[3, 0, 7], [1, 2, 0]])
    batch["candidate_global"] = torch.tensor([[-1, 4, 1], [3, -1, -1]])
    return batch


def layer_norm(row: list[float], weight: Tensor | None = None, bias: Tensor | None = None) -> Any:
    """Layer norm of one row, by its definition."""
    mean = sum(row) / len(row)
    spread = math.sqrt(sum((x - mean) ** 2 for x in row) / len(row) + 1e-5)
    normed = [(x - mean) / spread for x in row]
    if weight is None or bias is None:
        return normed
    return [x * w + b for x, w, b in zip(normed, weight.tolist(), bias.tolist(), strict=True)]


def linear(layer: torch.nn.Linear, row: list[float]) -> list[float]:
    """One row through a linear layer, by its definition."""
    bias: list[float] = [0.0] * layer.out_features
    if layer.bias is not None:
        bias = layer.bias.tolist()
    rows = zip(layer.weight.tolist(), bias, strict=True)
    return [sum(w * x for w, x in zip(ws, row, strict=True)) + b for ws, b in rows]


def gelu(row: list[float]) -> list[float]:
    """The exact GELU of a row."""
    return [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in row]


def composed(model: CodeMLMForLeafPrediction, ids: list[int], slot: int = 0) -> list[float]:
    """A candidate's vector, by its definition."""
    total = [0.0] * WIDTH
    real = [i for i in ids if i != 0]
    for place, piece in enumerate(real):
        token = model.embed.token.weight[piece].tolist()
        position = model.composer.piece_position.weight[place].tolist()
        total = [t + a + b for t, a, b in zip(total, token, position, strict=True)]
    norm = model.composer.norm
    mean = layer_norm([t / len(real) for t in total], norm.weight, norm.bias)
    residual = linear(model.composer.down, gelu(linear(model.composer.up, mean)))
    vector = [a + b for a, b in zip(mean, residual, strict=True)]
    if slot:
        code = layer_norm(model.embed.slot.weight[slot].tolist())
        mapped = linear(model.composer.slot_map, code)
        vector = [a + b for a, b in zip(vector, mapped, strict=True)]
    return vector


def reference_logits(
    model: CodeMLMForLeafPrediction, batch: dict[str, Tensor], b: int, hidden: Tensor
) -> dict[int, float]:
    """Logits of one place by candidate; candidates that do not compete are absent."""
    classifier = model.classifier
    query = layer_norm(
        gelu(linear(classifier.dense, hidden.tolist())),
        classifier.norm.weight,
        classifier.norm.bias,
    )
    vectors: dict[int, list[float]] = {}
    excluded = set()
    for c in range(C):
        ids = batch["candidate_ids"][b, c].tolist()
        if any(ids):
            vectors[G + c] = composed(model, ids, int(batch["candidate_slots"][b, c]))
            excluded.add(int(batch["candidate_global"][b, c]))
    for g in range(G):
        if g not in excluded:
            vectors[g] = composed(model, model.global_candidate_ids[g].tolist())
    scale = math.sqrt(WIDTH)
    return {
        index: sum(q * v for q, v in zip(query, vector, strict=True)) / scale
        + (float(classifier.global_bias[index]) if index < G else 0.0)
        for index, vector in vectors.items()
    }


def softmax(logits: dict[int, float]) -> dict[int, float]:
    """Probabilities by candidate."""
    total = sum(math.exp(x) for x in logits.values())
    return {index: math.exp(x) / total for index, x in logits.items()}


def gate_probability(model: CodeMLMForLeafPrediction, hidden: Tensor) -> float:
    """The keep gate's probability at one place."""
    logit = linear(model.gate.out, gelu(linear(model.gate.dense, hidden.tolist())))[0]
    return 1 / (1 + math.exp(-logit))


@torch.no_grad()
def test_logits_and_losses_match_the_reference() -> None:
    model, batch = make_model(gate_weight=0.7).train(), make_batch()
    out = model(**batch, return_logits=True)
    hidden = out.hidden_states
    surprisals, masked, correct, seen = [], [], 0, 0
    for b in range(B):
        for k in range(K):
            place, target = (int(batch[n][b, k]) for n in ("selected_positions", "targets"))
            if target < 0:
                continue
            want = reference_logits(model, batch, b, hidden[b, place])
            got = {i: x for i, x in enumerate(out.leaf_logits[b, k].tolist()) if x > -1e4}
            assert got == pytest.approx(want, rel=1e-9, abs=1e-9)
            seen += len(got)
            shown = int(batch["shown"][b, k])
            keep = gate_probability(model, hidden[b, place]) if shown >= 0 else 0.0
            if shown >= 0 and shown != target:
                del want[shown]
            likelihood = keep * (shown == target) + (1 - keep) * softmax(want)[target]
            surprisals.append(-math.log(likelihood))
            if shown < 0:
                masked.append(surprisals[-1])
                correct += max(want, key=lambda index: want[index]) == target
    # Each window: G + C, less one excluded global a real candidate, less the pad candidate.
    assert seen == 4 * (G + C - 2) + 3 * (G + C - 1 - 1)
    assert float(out.mlm_loss) == pytest.approx(sum(surprisals) / len(surprisals), rel=1e-6)
    assert float(out.masked_loss) == pytest.approx(sum(masked) / len(masked), rel=1e-6)
    assert (int(out.n_masked), int(out.n_correct)) == (len(masked), correct)


@torch.no_grad()
def test_keep_loss_and_counts_match_the_reference() -> None:
    model, batch = make_model(gate_weight=0.7).train(), make_batch()
    out = model(**batch, return_logits=True)
    losses, caught, alarms, wrong = [], 0, 0, 0
    for b, k in torch.nonzero(batch["leaf_positions"] >= 0).tolist():
        keep = gate_probability(model, out.hidden_states[b, batch["leaf_positions"][b, k]])
        meant = bool(batch["keep_targets"][b, k])
        losses.append(-math.log(keep if meant else 1 - keep))
        wrong += not meant
        caught += not meant and keep < 0.5
        alarms += meant and keep < 0.5
    assert float(out.keep_loss) == pytest.approx(sum(losses) / len(losses), rel=1e-6)
    assert float(out.loss) == pytest.approx(float(out.mlm_loss + 0.7 * out.keep_loss), rel=1e-6)
    counts = (out.n_leaves, out.n_wrong, out.n_caught, out.n_alarms)
    assert tuple(int(x) for x in counts) == (len(losses), wrong, caught, alarms)


def test_excluded_globals() -> None:
    marks = excluded_globals(
        torch.tensor([[2, -1, 0], [2, 2, 1]]),
        torch.tensor([[True, True, False], [True, True, True]]),
        4,
    )
    assert marks.int().tolist() == [[0, 0, 1, 0], [0, 1, 1, 0]]


def test_certain_gate_makes_a_kept_leaf_certain_and_never_a_nan() -> None:
    logits = torch.zeros(1, 2, 5, requires_grad=True)
    keep = torch.tensor([[90.0, 90.0]], requires_grad=True)
    targets = torch.tensor([[1, 1]])
    logp, _ = leaf_log_likelihood(logits, targets, torch.tensor([[1, 2]]), keep)
    assert logp[0, 0].item() == pytest.approx(0.0)
    assert logp[0, 1].item() == pytest.approx(-90 - math.log(4))
    logp.sum().backward()
    assert logits.grad is not None and keep.grad is not None
    assert torch.isfinite(logits.grad).all() and torch.isfinite(keep.grad).all()


@pytest.mark.parametrize("family", sorted(ENCODERS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_family_learns_with_every_parameter(family: str, dtype: torch.dtype) -> None:
    model = make_model(family).to(dtype).train()  # type: ignore[arg-type]  # decorated there
    out = model(**make_batch())
    out.loss.backward()
    assert torch.isfinite(out.loss)
    assert out.leaf_logits is None
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        else:
            assert parameter.numel() == WIDTH, name  # the encoder's own token table


@pytest.mark.parametrize("family", sorted(ENCODERS))
@pytest.mark.parametrize("training", [True, False])
@torch.no_grad()
def test_padding_changes_nothing(family: str, training: bool) -> None:
    model, batch = make_model(family).train(training), make_batch()
    before = model(**batch, return_logits=True)
    for name in PAIRED:
        batch[name][1, 9:] = 1
    after = model(**batch, return_logits=True)
    torch.testing.assert_close(before.leaf_logits, after.leaf_logits)
    torch.testing.assert_close(before.keep_logits[1, :3], after.keep_logits[1, :3])
    short = {name: batch[name][1:, :9] for name in (*PAIRED, "attention_mask")}
    hidden = model.encode(**short)
    torch.testing.assert_close(hidden[0], after.hidden_states[1, :9])


@torch.no_grad()
def test_candidate_order_only_permutes_the_logits() -> None:
    model, batch = make_model().eval(), make_batch()
    before = model(**batch)
    order = torch.tensor([2, 0, 1])
    for name in ("candidate_ids", "candidate_slots", "candidate_global"):
        batch[name] = batch[name][:, order]
    moved = torch.cat([torch.arange(G), G + torch.argsort(order)])
    for name in ("targets", "shown"):
        batch[name] = torch.where(batch[name] >= 0, moved[batch[name].clamp(min=0)], batch[name])
    after = model(**batch)
    torch.testing.assert_close(before.leaf_logits[..., G:][..., order], after.leaf_logits[..., G:])
    torch.testing.assert_close(before.leaf_logits[..., :G], after.leaf_logits[..., :G])
    torch.testing.assert_close(before.loss, after.loss)


def test_kept_attention_equals_the_librarys() -> None:
    model, batch = make_model(), make_batch()
    theirs = ModernBertModel(model.encoder.config).double()
    theirs.load_state_dict(model.encoder.state_dict())
    vectors = torch.randn(B, T, WIDTH, dtype=torch.float64)
    weights = torch.randn(B, T, WIDTH, dtype=torch.float64) * batch["attention_mask"][..., None]
    results = []
    for encoder, training, mask in (
        (theirs, False, batch["attention_mask"]),
        (model.encoder, False, {"full_attention": batch["attention_mask"]}),
        (model.encoder, True, {"full_attention": batch["attention_mask"]}),
    ):
        encoder.train(training).zero_grad()
        out = encoder(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
        (out * weights).sum().backward()
        gradients = [p.grad for p in encoder.parameters() if p.requires_grad and p.dim() > 1]
        results.append([out * batch["attention_mask"][..., None], *gradients[-8:]])
    for ours in results[1:]:
        for a, b in zip(ours, results[0], strict=True):
            # The library turns queries and keys in float32 whatever the type.
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_traced_model_gives_the_same_gradients() -> None:
    gradients = []
    for traced in (False, True):
        model = make_model(layers=1).train()
        forward = torch.compile(model, backend="aot_eager", fullgraph=True) if traced else model
        forward(**make_batch()).loss.backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    torch.compiler.reset()
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("family", sorted(ENCODERS))
def test_saved_model_loads_through_auto_classes(family: str, tmp_path: Path) -> None:
    model = make_model(family, gate_weight=0.25).float().eval()
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, CodeMLMConfig)
    assert config.gate_weight == 0.25
    assert config.encoder == model.config.encoder
    assert config.encoder is not None and "max_position_embeddings" in config.encoder
    loaded = AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert isinstance(loaded, CodeMLMForLeafPrediction)
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    with torch.no_grad():
        assert torch.equal(model(**make_batch()).loss, loaded(**make_batch()).loss)


def test_same_seed_same_model_and_gradients() -> None:
    losses = []
    for _ in range(2):
        model = make_model().float().train()
        out = model(**make_batch())
        out.loss.backward()
        losses.append([out.loss, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert all(torch.equal(a, b) for a, b in zip(*losses, strict=True))


def test_first_loss_is_near_that_of_a_blind_guess() -> None:
    torch.manual_seed(0)
    config = CodeMLMConfig(
        encoder={
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
        },
        vocab_size=200,
        num_global_candidates=500,
    )
    model = CodeMLMForLeafPrediction(config).eval()
    model.set_global_candidates(torch.randint(1, 200, (500, 8)))
    batch: dict[str, Any] = {name: torch.randint(1, 4, (4, 32)) for name in PAIRED}
    batch["input_ids"] = torch.randint(1, 200, (4, 32))
    batch["selected_positions"] = torch.randint(0, 32, (4, 16))
    batch["targets"] = torch.randint(500, 520, (4, 16))
    batch["candidate_ids"] = torch.randint(1, 200, (4, 20, 8))
    batch["candidate_slots"] = torch.randint(0, 512, (4, 20))
    batch["candidate_global"] = torch.full((4, 20), -1)
    with torch.no_grad():
        assert float(model(**batch).mlm_loss) == pytest.approx(math.log(520), abs=0.4)


def test_global_candidates_keep_their_shape_and_start_at_the_unigram() -> None:
    model = make_model()
    with pytest.raises(ValueError, match="global candidates"):
        model.set_global_candidates(torch.zeros(G + 1, P, dtype=torch.long))
    model.set_global_candidates(pieces(G), torch.tensor([8.0, 4, 2, 1, 1, 0]))
    bias = model.classifier.global_bias.detach()
    assert float(bias[0] - bias[3]) == pytest.approx(math.log(8))
    assert float(bias.mean()) == pytest.approx(0, abs=1e-6)


def test_unknown_family_is_named() -> None:
    with pytest.raises(ValueError, match="gpt"):
        CodeMLMConfig(encoder_type="gpt")


@pytest.mark.parametrize("training", [True, False])
@torch.no_grad()
def test_a_causal_model_does_not_see_what_follows(training: bool) -> None:
    for causal in (True, False):
        model, batch = make_model(causal=causal).train(training), make_batch()
        inputs = {name: batch[name] for name in (*PAIRED, "attention_mask")}
        before = model.encode(**inputs)
        for name in PAIRED:
            batch[name][:, 6:] = 1
        after = model.encode(**inputs)
        assert torch.equal(before[:, :6], after[:, :6]) == causal
        assert not torch.equal(before[:, 6:9], after[:, 6:9])


def test_causal_attention_is_the_same_in_training() -> None:
    model, batch = make_model(causal=True), make_batch()
    with torch.no_grad():
        outputs = [model.train(mode)(**batch).loss for mode in (True, False)]
    torch.testing.assert_close(*outputs)
    model.train()(**batch).loss.backward()
    weight = model.encoder.layers[1].attn.Wqkv.weight
    assert weight.grad is not None
    trained = weight.grad.clone()
    model.zero_grad()
    model.eval()(**batch).loss.backward()
    torch.testing.assert_close(trained, weight.grad)


def test_causal_needs_attention_that_can_do_it() -> None:
    with pytest.raises(ValueError, match="causal"):
        make_model("bert", causal=True)


@torch.no_grad()
def test_without_a_gate_the_likelihood_is_the_softmax_alone() -> None:
    model, batch = make_model(keep_gate=False).train(), make_batch()
    out = model(**batch, return_logits=True)
    real = batch["targets"] >= 0
    logp = torch.log_softmax(out.leaf_logits, -1)
    chosen = logp.gather(-1, batch["targets"].clamp(min=0)[..., None])[..., 0][real]
    torch.testing.assert_close(out.mlm_loss, -chosen.mean().float())
    assert torch.equal(out.loss, out.mlm_loss)
    assert not out.keep_logits.any()
    masked = real & (batch["shown"] < 0)
    assert int(out.n_masked) == int(masked.sum())


@pytest.mark.parametrize(
    ("part", "inputs"),
    [
        ("use_slots", ("slot_ids", "candidate_slots")),
        ("use_syntax", ("parent_ids", "grandparent_ids")),
    ],
)
@torch.no_grad()
def test_a_part_left_out_changes_nothing(part: str, inputs: tuple[str, ...]) -> None:
    for used in (True, False):
        settings: dict[str, Any] = {part: used}
        model, batch = make_model(**settings).eval(), make_batch()
        before = model(**batch).loss
        for name in inputs:
            batch[name] = torch.flip(batch[name], [1])
        assert torch.equal(model(**batch).loss, before) != used
