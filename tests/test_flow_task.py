"""What a step on a joint transformer computes, and that small random ones learn by it what each loss is for."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import small_joint
import torch
from small_flow import NEVER, backward, learn, make_task
from small_joint import FAMILIES
from torch.nn import functional as nnf

from factory.diffusion.joint_attention import jointly_probed
from factory.diffusion.joint_models import image_tokens, velocity
from factory.diffusion.lora.file import read_adapter
from factory.diffusion.lora.merging import Weighted, merge
from factory.diffusion.lora.names import Known
from factory.diffusion.train import flow
from factory.diffusion.train.flow_task import FlowTask
from factory.diffusion.train.low_rank import LORA_FILE, LowRankChanges, fold, write_changes
from factory.diffusion.train.settings import LowRankSettings
from factory.training.draws import Share

torch.set_num_threads(1)
SEEDS = (0, 1, 2)


def distance_to_the_screen(task: FlowTask, t: float = 0.5) -> float:
    """Of the attention of 'green' from 1 − M, mean over layers; object and screen count alike: any flat map has ½."""
    b = replace(task, settings=replace(task.settings, caption_dropout=0.0)).batch(NEVER, 48)
    at = torch.full_like(b.t, t)
    z_t = flow.noisy(b.z0, b.epsilon, at)
    with torch.no_grad(), jointly_probed(task.parts.transformer) as seen:
        seen.words, seen.text = b.text.words, b.text.real
        seen.pixels = image_tokens(task.parts.transformer, z_t)
        velocity(task.parts.transformer, z_t, at, b.text)
    M = nnf.adaptive_avg_pool2d(b.M, 4).flatten(1)
    A = torch.stack(list(seen.maps.values()))[..., 0]
    on_object, on_screen = (A * M).sum(dim=(1, 2)) / M.sum(), (A * (1 - M)).sum(dim=(1, 2)) / (1 - M).sum()
    return float((on_object + 1 - on_screen).mean() / 2)


def held_out(task: FlowTask) -> dict[str, float]:
    """The losses of a batch that is not learned from."""
    with torch.no_grad(), task.watching():
        return {name: term.item() for name, term in task.losses(task.batch(NEVER, 48)).items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_its_losses_fall(family: str) -> None:
    task = make_task(family, detail_weight=30.0)  # else it is some hundredth of the others
    before = held_out(task)
    learn(task, 50)
    after = held_out(task)
    assert list(before) == ["noise", "green", "detail", "latent"]
    for name, loss in before.items():
        assert after[name] < 0.97 * loss, name


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_without_l_g_the_attention_of_green_follows_the_screen_worse(family: str) -> None:
    for seed in SEEDS:
        reached = []
        for wanted in (True, False):
            task = make_task(family, seed=seed, green_background=wanted, detail=False)
            learn(task, 100)
            reached.append(distance_to_the_screen(task))
        assert reached[0] < reached[1], seed


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointing_takes_the_same_step(family: str) -> None:
    gradients = []
    for checkpointed in (False, True):
        task = make_task(family)
        if checkpointed:
            task.parts.transformer.enable_gradient_checkpointing()
        changes = LowRankChanges(task.parts.transformer, LowRankSettings(rank=2, layers="attention"), 0)
        for factor in changes.parameters():
            torch.nn.init.normal_(factor, generator=torch.Generator().manual_seed(1))
        backward(task, 3, 4)
        gradients.append({name: factor.grad for name, factor in changes.named_parameters()})
    without = {name for name, gradient in gradients[0].items() if gradient is None}  # what the last layer makes of text
    assert all(name.startswith("transformer_blocks/1/attn/to_add_out") for name in without)
    assert without == {name for name, gradient in gradients[1].items() if gradient is None}
    for name in gradients[0].keys() - without:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_changes_in_attention_are_in_what_both_streams_read_with(family: str) -> None:
    model = small_joint.transformer(family)
    ends = {name.rpartition("attn/")[2] for name in LowRankChanges(model, LowRankSettings(rank=2), 0)}
    joint = {"to_q", "to_k", "to_v", "to_out/0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"}
    if family == "z":
        assert {end.rpartition("attention/")[2] for end in ends} == {"to_q", "to_k", "to_v", "to_out/0"}
    else:
        assert joint <= {end.removeprefix("attn2/") for end in ends}
    assert family != "flux2" or {"to_qkv_mlp_proj", "to_out"} <= ends


def test_the_autoencoder_and_the_transformer_learn_nothing_from_the_head() -> None:
    task = make_task("sd3", green_background=False, detail=False)
    changes = LowRankChanges(task.parts.transformer, LowRankSettings(rank=2), 0)
    b = replace(task.batch(0, 4), t=torch.full((4,), 0.1))  # near the picture, where the head sees the estimate
    task.losses(b)["latent"].backward()
    assert all(p.grad is None for p in itertools.chain(changes.parameters(), task.parts.vae.parameters()))
    assert all(p.grad is not None for p in task.parts.head.parameters())


def test_a_batch_is_a_function_of_seed_phase_and_step() -> None:
    task = make_task("flux2")
    first, again, other = task.batch(2, 6), task.batch(2, 6), task.batch(3, 6)
    for name in ("z0", "M", "epsilon", "t", "has_word", "soft_alpha"):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    assert torch.equal(first.text.embeddings, again.text.embeddings)
    assert not torch.equal(first.epsilon, other.epsilon)
    assert ((first.t > 0) & (first.t < 1)).all()
    drops = replace(task, settings=replace(task.settings, caption_dropout=1.0)).batch(2, 6)
    assert not drops.text.words.any()
    assert drops.text.real.sum(dim=1).tolist() == [1] * 6


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_of_changes_laid_over_the_base_is_what_was_learnt(family: str, tmp_path: Path) -> None:
    task, base = make_task(family), small_joint.transformer(family)
    changes = LowRankChanges(task.parts.transformer, LowRankSettings(rank=2), 0)
    for factor in changes.parameters():
        torch.nn.init.normal_(factor, generator=torch.Generator().manual_seed(1))
    file = tmp_path / LORA_FILE
    write_changes(changes.state_dict(), file, "transformer")
    fold(task.parts.transformer)
    parts = {"transformer": base}
    merge(parts, [Weighted(read_adapter(file, file.read_bytes(), Known(parts)), 1.0, lowered=True)])
    learnt = task.parts.transformer.state_dict()
    before = small_joint.transformer(family).state_dict()
    assert any(not torch.equal(weight, before[name]) for name, weight in learnt.items())
    for name, weight in base.state_dict().items():
        torch.testing.assert_close(weight, learnt[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_in_half_precision_learns_as_well(family: str) -> None:
    task = make_task(family)
    expected = held_out(task)
    task.parts.transformer.to(torch.bfloat16)
    task.parts.vae.to(torch.bfloat16)
    for name, loss in held_out(task).items():
        assert loss == pytest.approx(expected[name], rel=0.05), name
    told = learn(task, 3)
    assert all(math.isfinite(loss) for losses in told for loss in losses.values())


def test_shares_together_are_the_batch() -> None:
    """So several processes, or parts one after the other, take the step that one alone would."""
    task = make_task("sd3")
    with torch.no_grad(), task.watching():
        whole = task.losses(task.batch(2, 6))
        parts = [task.losses(task.batch(2, 6, Share(number, 3))) for number in range(3)]
    for name, loss in whole.items():
        torch.testing.assert_close(torch.stack([part[name] for part in parts]).mean(), loss, msg=name)
