"""Adapters that bend the screen count for less in a slot's later attempts; each sample says for how much."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from program import LOCAL, Ended, factory_here, hashes
from safetensors.numpy import save_file
from tiny_model import NETWORKS, save_tiny_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import factory
from factory.diffusion.lora.file import Adapter
from factory.diffusion.lora.lowering import Lowering
from factory.diffusion.lora.merging import Laid, Weighted, merge
from factory.diffusion.lora.names import Known
from factory.engine.plan import read_plan
from factory.errors import DataError
from factory.review.adapters import screens_by_share
from factory.review.digest import read_digest
from factory.review.report import write_report
from factory.sample import Request, Sample
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest

GATES = (
    "gates={gsg_max: 3.3, spread_max: 500, coverage_min: 0, coverage_max: 1, border_max: 1, agreement_min: 0, "
    "residual_max: 500, green_residue_max: null, key_distance_min: null, duplicate_distance: -1}"
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def bending(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the U-Net that paints objects nearly everywhere, and of the text encoder."""
    random = np.random.default_rng(0)
    width = NETWORKS.text_width
    file = tmp_path_factory.mktemp("adapters") / "bending.safetensors"
    save_file(
        {
            "lora_unet_conv_out.lora_down.weight": np.full((1, 8, 3, 3), 0.2, np.float32),
            "lora_unet_conv_out.lora_up.weight": np.array([1.0, -1.0, 0.5, 2.0], np.float32).reshape(4, 1, 1, 1),
            "lora_te_encoder_layers_0_self_attn_v_proj.lora_down.weight": random.normal(size=(2, width)).astype("f4"),
            "lora_te_encoder_layers_0_self_attn_v_proj.lora_up.weight": 30
            * random.normal(size=(width, 2)).astype("f4"),
        },
        file,
    )
    return file


def generated(model: Path, out: Path, *more: str | Path, batch: int = 2) -> Ended:
    prompts = out.with_name("prompts.txt")
    prompts.write_text("a red feather\na blue leaf\na glass bubble\n")
    return factory_here(
        *("generate", "--model", model, "--n", "6", "--steps", "2", "--batch", str(batch), "--out", out, *LOCAL),
        *("--prompts", prompts, "--max-attempts", "4", "--set", GATES, "--allow-short", *more),
    )


@given(st.lists(st.sampled_from(["gsg", "no_screen", "cut"]), max_size=6), st.floats(0, 0.99))
def test_only_reasons_of_the_screen_lower(reasons: list[str], factor: float) -> None:
    lowering = Lowering(factor=factor, reasons=("gsg", "no_screen"))
    assert lowering.share(reasons) == factor ** (len(reasons) - reasons.count("cut"))


@given(shares=st.lists(st.sampled_from([0.0, 0.25, 0.8, 1.0]), min_size=1, max_size=5), dora=st.booleans())
@settings(max_examples=20, deadline=None)
def test_weights_at_a_share_do_not_depend_on_those_before(shares: Sequence[float], dora: bool) -> None:
    torch.manual_seed(0)
    nets = [nn.ModuleDict({"a": nn.Linear(8, 8)}).requires_grad_(requires_grad=False) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    parts = {"down": torch.randn(2, 8), "up": torch.randn(8, 2)} | ({"dora_scale": torch.rand(8, 1)} if dora else {})
    adapter = Adapter(Path("a"), {}, {Known({"transformer": nets[0]}).dotted["transformer.a"]: parts})
    laid = Laid({"transformer": nets[0]}, [Weighted(adapter, 0.7)])
    for share in shares:
        laid.lay(share)
    merge({"transformer": nets[1]}, [Weighted(adapter, 0.7 * shares[-1])])
    assert torch.equal(nets[0]["a"].weight, nets[1]["a"].weight)


def test_a_bent_screen_lowers_the_adapter_until_the_gate_passes(model: Path, bending: Path, tmp_path: Path) -> None:
    out = tmp_path / "lowered"
    ended = generated(model, out, "--lora", bending, "--lower-loras", "0.1")
    assert ended.code == 0, ended.err
    rows = read_manifest(Layout(out), ["key", "attempt", "status", "reason"]).to_pylist()
    failed = [row for row in rows if row["attempt"] == 0 and row["reason"] == "gsg"]
    assert failed
    shares = {sample.key: (sample.meta["attempt"], sample.meta["adapters"]) for sample in factory.open(out)}
    assert min(share for _, share in shares.values()) < 1
    for key, (attempt, share) in shares.items():
        bent = sum(row["key"] == key and row["attempt"] < attempt and row["reason"] == "gsg" for row in rows)
        assert share == pytest.approx(0.1**bent, abs=1e-4)
    assert factory_here("verify", out).code == 0
    page = write_report(out).read_text()
    assert "share of their weights" in page
    assert '<th scope="row">0.1</th>' in page
    before = hashes(out)
    assert generated(model, out, "--lora", bending, "--lower-loras", "0.1").code == 0
    assert hashes(out) == before
    assert generated(model, out, "--lora", bending, "--lower-loras", "0.2").code == 2


@pytest.mark.parametrize("head", [True, False])
def test_what_a_share_paints_does_not_depend_on_company(model: Path, bending: Path, tmp_path: Path, head: bool) -> None:
    """Batches of one size, mixed of shares or not: the same pictures as when each request comes alone."""
    from factory.jobs.generate import line

    out, own, bent = tmp_path / "out", tmp_path / "model", "gsg" if head else "untrusted"
    shutil.copytree(model, own, ignore=None if head else shutil.ignore_patterns("matting_head", "sampler.json"))
    planned = generated(own, out, "--lora", bending, "--lower-loras", "0.5", "--key", "green", batch=3)
    assert planned.code == 0, planned.err
    sources = [line(read_plan(Layout(out).plan), out).sources for _ in range(2)]
    (source,), (other_source,) = (each.values() for each in sources)

    def request(number: int, *reasons: str) -> Request:
        item = {"prompt": "green screen, a red feather"}
        return Request(key=f"{number:010}", slot=number, attempt=len(reasons), seed=7, item=item, reasons=reasons)

    asked = [request(0, bent), request(1), request(2, bent, "cut"), request(3, bent, "no_screen"), request(4)]
    together = list(source(asked))
    alone = [result for one in asked for result in other_source([one])]
    assert not any(isinstance(result, DataError) for result in (*together, *alone))
    for one, other in zip(together, alone, strict=True):
        assert isinstance(one, Sample)
        assert isinstance(other, Sample)
        assert np.array_equal(one.rgb, other.rgb)
        assert one.origin == other.origin
    assert [result.origin.adapters for result in together if isinstance(result, Sample)] == [0.5, 1, 0.5, 0.25, 1]
    pictures = [result.rgb for result in together if isinstance(result, Sample)]
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])


def test_weights_that_went_elsewhere_are_computed_on_the_cpu() -> None:
    """So that they are those of the first merge to the bit, whatever a GPU's sums are like."""
    net = nn.ModuleDict({"a": nn.Linear(8, 8)}).requires_grad_(requires_grad=False)
    layer = Known({"transformer": net}).dotted["transformer.a"]
    adapter = Adapter(Path("a"), {}, {layer: {"down": torch.randn(2, 8), "up": torch.randn(8, 2)}})
    laid = Laid({"transformer": net}, [Weighted(adapter, 1.0)])
    net.to("meta")
    with Elsewhere() as seen:
        assert laid.lay(0.5)
    assert set(seen.called) <= {"aten::copy_", "aten::detach"}


class Elsewhere(TorchDispatchMode):
    """Notes what is called on tensors that are not on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(isinstance(one, torch.Tensor) and one.device.type == "meta" for one in args):
            self.called.append(func.name().partition(".")[0])
        return func(*args, **(kwargs or {}))


def test_an_exempt_adapter_always_counts_alike(model: Path, bending: Path, tmp_path: Path) -> None:
    out, style = tmp_path / "out", Path(shutil.copyfile(bending, tmp_path / "style.safetensors"))
    named = f"loras=[{{file: '{bending}', lowered: false}}, {{file: '{style}'}}]"
    flags = ("--set", named, "--lower-loras", "0.5", "--sampler", "lcm")
    made = generated(model, out, *flags)
    assert made.code == 0, made.err
    assert json.loads(Layout(out).plan.read_text())["settings"]["lowering"]["exempt"] == [0]
    parts = {"transformer": nn.ModuleDict({"a": nn.Linear(8, 8)}).requires_grad_(requires_grad=False)}
    before = parts["transformer"]["a"].weight.clone()
    layer = Known(parts).dotted["transformer.a"]
    one = Adapter(Path("a"), {}, {layer: {"down": torch.randn(2, 8), "up": torch.randn(8, 2)}})
    laid = Laid(parts, [Weighted(one, 1.0), Weighted(one, 1.0, lowered=False)])
    both = parts["transformer"]["a"].weight - before
    laid.lay(0.0)
    assert torch.allclose(parts["transformer"]["a"].weight - before, both / 2, atol=1e-5)


def test_a_keyed_picture_is_lowered_for_what_the_keyer_says(model: Path, bending: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "out", tmp_path / "model"
    shutil.copytree(model, plain, ignore=shutil.ignore_patterns("matting_head", "sampler.json"))
    asked = ("--lora", bending, "--lower-loras", "0.5", "--set", "gates.label_error_max=0.000001")
    made = generated(plain, out, *asked)
    assert made.code == 0, made.err
    assert read_plan(Layout(out).plan).settings["lowering"]["reasons"] == ["untrusted", "no_screen"]
    table = screens_by_share(read_digest(Layout(out)))
    assert [row.share for row in table][:2] == [1, 0.5]
    assert all(row.gsg is None for row in table)
    assert "pass its gate" not in write_report(out).read_text()


def test_sets_without_lowering_say_nothing_of_it(model: Path, bending: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generated(model, out, "--lora", bending, "--set", "gates.gsg_max=500").code == 0
    assert "adapters" not in factory.open(out)[0].meta
    assert "lowering" not in json.loads(Layout(out).plan.read_text())["settings"]


def test_filtered_sets_keep_what_each_sample_says(model: Path, bending: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    assert generated(model, out, "--lora", bending, "--lower-loras", "0.1").code == 0
    assert factory_here("filter", out, "--out", again, *LOCAL).code == 0
    assert [s.meta["adapters"] for s in factory.open(again)] == [s.meta["adapters"] for s in factory.open(out)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--lower-loras", "0.5"), "name one with --lora"),
        (("--lora", "{file}", "--lower-loras", "1"), "lower_loras"),
        (("--lora", "{file}", "--lower-loras", "-0.1"), "lower_loras"),
        (("--lora", "{file}", "--lower-loras", "0.5", "--sampler", "lcm"), "say `lowered: false` of it"),
        (("--set", "loras=[{{file: '{file}', lowered: false}}]", "--lower-loras", "0.5"), "name one with --lora"),
    ],
)
def test_lowering_that_lowers_nothing_is_refused(
    model: Path, bending: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    refused = generated(model, tmp_path / "out", *(part.format(file=bending) for part in more))
    assert refused.code == 2
    assert said in refused.sentence
