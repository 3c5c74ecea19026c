"""Adapters change a model's weights as the programs that made them would, and no key of their files goes unseen.

What LyCORIS, kohya's scripts and Forge make of the same files lies among the test pictures (FACTORY_DATA).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from program import LOCAL, Ended, factory_here, hashes
from safetensors.numpy import load_file, save_file
from seeded_networks import oracle_folder, seeded
from tiny_model import OPEN_GATES, save_tiny_model
from torch import Tensor, nn

import factory
from factory.diffusion.lora.changes import merged
from factory.diffusion.lora.file import Adapter, read_adapter
from factory.diffusion.lora.merging import Weighted, merge
from factory.diffusion.lora.names import Known
from factory.diffusion.lora.peft import said_in_config
from factory.errors import UsageError

FILES = (
    *("lora_linear", "lora_linear_fp16_rank8", "lora_no_alpha", "locon_conv3x3", "locon_cp"),
    *("loha", "loha_cp", "lokr_full", "lokr_w2_decomposed", "lokr_both_cp"),
    *("dora_out_axis", "dora_in_axis", "dora_loha_out_axis"),
)
EXPECTED = ("expected_lora_locon", "expected_loha_lokr", "expected_dora")
LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
FLAT = f"lora_unet_{LAYER.replace('.', '_')}"

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def oracles(shared_data: Path) -> Path:
    return oracle_folder(shared_data) / "lora"


@pytest.fixture(scope="session")
def info(oracles: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((oracles / "info.json").read_bytes())
    return content


@pytest.fixture
def unet() -> UNet2DConditionModel:
    """A small U-Net of Stable Diffusion's architecture."""
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=16,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=48,
        attention_head_dim=4,
    ).requires_grad_(requires_grad=False)


@pytest.fixture
def oracle_unet(oracles: Path, info: Mapping[str, Any]) -> UNet2DConditionModel:
    unet = UNet2DConditionModel.from_config(json.loads((oracles / "unet_config.json").read_bytes()))
    weights = seeded(oracles.parent).state(json.loads((oracles / "unet_shapes.json").read_bytes()), info["unet_gains"])
    unet.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return unet.eval()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(tensors: Mapping[str, np.ndarray[Any, Any]], name: str = "a", **metadata: str) -> Path:
        file = tmp_path / f"{name}.safetensors"
        save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, file, metadata or None)
        return file

    return written


def factors(
    rank: int = 2, down: str = ".lora_down.weight", up: str = ".lora_up.weight", layer: str = FLAT, width: int = 32
) -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {
        f"{layer}{down}": random.normal(size=(rank, width)).astype(np.float32),
        f"{layer}{up}": random.normal(size=(width, rank)).astype(np.float32),
    }


def read(file: Path, known: Known) -> Adapter:
    return read_adapter(file, file.read_bytes(), known)


def taken(file: Path, unet: UNet2DConditionModel, weight: float = 1.0, **partial: bool) -> Tensor:
    """What the layer's weight is after the merge."""
    merge({"unet": unet}, [Weighted(read(file, Known({"unet": unet})), weight)], **partial)
    return weight_of(unet)


def weight_of(unet: UNet2DConditionModel, layer: str = LAYER) -> Tensor:
    weight = unet.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight.detach().clone()


@pytest.mark.parametrize("name", FILES)
def test_weights_are_those_that_other_programs_make(
    oracles: Path, info: Mapping[str, Any], oracle_unet: UNet2DConditionModel, name: str
) -> None:
    known = Known({"unet": oracle_unet})
    adapter = read(oracles / f"{name}.safetensors", known)
    assert not adapter.unused
    merge({"unet": oracle_unet}, [Weighted(adapter, 1.0)])
    expected = {key: value for file in EXPECTED for key, value in np.load(oracles / f"{file}.npz").items()}
    layers = info["layers"][info["files"][name]["layers"]]
    assert len(layers) == len(adapter.layers)
    for short, layer in layers.items():
        own = weight_of(oracle_unet, layer).numpy()
        assert np.abs(own - expected[f"{name}/{short}/m1"]).max() <= (2e-6 if "dora" in name else 1e-6)
    with np.load(oracles / "unet_outputs.npz") as outputs, torch.inference_mode():
        inputs = [
            torch.from_numpy(seeded(oracles.parent).uniform(*one) * 4 - 2)
            for one in (("lora_sample", (1, 4, 16, 16)), ("lora_context", (1, 5, 48)))
        ]
        told = oracle_unet(inputs[0], 37, encoder_hidden_states=inputs[1]).sample.numpy()
        assert np.abs(told - outputs[name]).max() <= 3e-5


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("dora")])
def test_dora_at_a_lower_weight_goes_part_of_the_way(
    oracles: Path, info: Mapping[str, Any], oracle_unet: UNet2DConditionModel, name: str
) -> None:
    merge(
        {"unet": oracle_unet},
        [Weighted(read(oracles / f"{name}.safetensors", Known({"unet": oracle_unet})), 0.7)],
    )
    with np.load(oracles / "expected_dora.npz") as expected:
        for short, layer in info["layers"]["conv"].items():
            assert (
                np.abs(weight_of(oracle_unet, layer).numpy() - expected[f"{name}/{short}/m0.7_interpolated"]).max()
                <= 2e-6
            )


@pytest.mark.parametrize("name", ["analog_svd_rank4", "lora_disney"])
def test_files_that_count_their_layers_fit_stable_diffusion(shared_data: Path, name: str) -> None:
    file = shared_data / "lora" / f"{name}.safetensors"
    if not file.is_file():
        pytest.skip(f"no adapter at {file}")
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
        from transformers import CLIPTextConfig, CLIPTextModel

        text = CLIPTextModel(
            CLIPTextConfig(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
        )
    adapter = read(file, Known({"unet": unet, "text_encoder": text}))
    assert not adapter.unused
    assert len([layer for layer in adapter.layers if layer.part == "unet"]) == 144
    assert len([layer for layer in adapter.layers if layer.part == "text_encoder"]) == 48
    assert set(adapter.words) == ({"<s1>", "<s2>"} if "disney" in name else set())
    for layer, parts in adapter.layers.items():
        weight = {"unet": unet, "text_encoder": text}[layer.part].get_submodule(layer.name).weight
        assert merged(torch.zeros(weight.shape), parts).shape == weight.shape


@pytest.mark.parametrize(
    ("layer", "down", "up"),
    [
        (FLAT, ".lora_down.weight", ".lora_up.weight"),
        (FLAT.replace("lora_unet", "lycoris"), ".lora_down.weight", ".lora_up.weight"),
        (f"unet.{LAYER}", ".lora_A.weight", ".lora_B.weight"),
        (f"unet.{LAYER}", ".lora_A.default.weight", ".lora_B.default.weight"),
        (f"unet.{LAYER}", ".lora.down.weight", ".lora.up.weight"),
        (LAYER.replace("to_q", "processor.to_q_lora"), ".down.weight", ".up.weight"),
        (f"unet.{LAYER}".replace("to_q", "processor.to_q_lora"), ".down.weight", ".up.weight"),
        (f"diffusion_model.{LAYER}", ".lora_A.weight", ".lora_B.weight"),
        ("diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q", ".lora_A.weight", ".lora_B.weight"),
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q", ".lora_down.weight", ".lora_up.weight"),
    ],
)
def test_the_same_layer_by_every_name(unet: UNet2DConditionModel, write: Write, layer: str, down: str, up: str) -> None:
    own = factors(2, down, up, layer)
    expected = weight_of(unet).numpy() + own[f"{layer}{up}"] @ own[f"{layer}{down}"]
    assert np.allclose(taken(write(own), unet).numpy(), expected, atol=1e-6)


def test_every_layer_of_a_unet_has_one_name_in_ldm(unet: UNet2DConditionModel) -> None:
    from factory.diffusion.ldm_names import ldm_names

    layers = [name for name, module in unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    names = ldm_names(layers, unet.config)
    assert sorted(names.values()) == sorted(layers)
    assert names["middle_block.0.in_layers.2"] == "mid_block.resnets.0.conv1"
    assert names["output_blocks.1.1.conv"] == "up_blocks.0.upsamplers.0.conv"
    assert names["input_blocks.2.0.op"] == "down_blocks.0.downsamplers.0.conv"
    assert names["output_blocks.3.1.proj_in"] == "up_blocks.1.attentions.1.proj_in"


@given(weights=st.lists(st.floats(-2, 2), min_size=2, max_size=2))
@settings(max_examples=20, deadline=None)
def test_the_order_of_adapters_does_not_count(weights: list[float]) -> None:
    random = np.random.default_rng(0)
    layer = nn.Linear(8, 8, bias=False).requires_grad_(requires_grad=False)
    net = nn.ModuleDict({"a": layer})
    begin = layer.weight.clone()
    known = Known({"transformer": net})
    adapters = []
    for i, weight in enumerate(weights):
        parts = {
            name: torch.from_numpy(random.normal(size=shape).astype(np.float32))
            for name, shape in (("down", (2, 8)), ("up", (8, 2)))
        }
        if i:
            parts["dora_scale"] = torch.rand(8, 1) + 0.5
        adapters.append(Weighted(Adapter(Path(f"{i}"), {}, {known.dotted["transformer.a"]: parts}), weight))
    merge({"transformer": net}, adapters)
    once = layer.weight.clone()
    layer.weight.copy_(begin)
    merge({"transformer": net}, adapters[::-1])
    assert torch.allclose(once, layer.weight, atol=1e-5)


def test_half_the_weight_is_half_the_change(unet: UNet2DConditionModel, write: Write) -> None:
    before, file = weight_of(unet), write(factors())
    half = taken(file, unet, 0.5)
    assert torch.allclose(taken(file, unet, 0.5) - before, 2 * (half - before), atol=1e-6)


def test_peft_says_alpha_beside_its_factors(unet: UNet2DConditionModel, write: Write) -> None:
    own = factors(2, ".lora_A.weight", ".lora_B.weight", f"unet.{LAYER}")
    before = weight_of(unet)
    told = json.dumps({"unet.r": 2, "unet.lora_alpha": 8, "unet.alpha_pattern": {}})
    change = taken(write(own, lora_adapter_metadata=told), unet) - before
    expected = 4 * own[f"unet.{LAYER}.lora_B.weight"] @ own[f"unet.{LAYER}.lora_A.weight"]
    assert np.allclose(change.numpy(), expected, atol=1e-5)


@pytest.fixture
def flux() -> Any:
    """A small transformer of Flux's architecture."""
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    return FluxTransformer2DModel(
        in_channels=4,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        pooled_projection_dim=12,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=True,
    ).requires_grad_(requires_grad=False)


def stacked(flux: Any, names: Iterable[str]) -> Tensor:
    return torch.cat([weight_of(flux, name) for name in names])


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("double_blocks.0.img_attn.qkv", [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"]),
        ("double_blocks.0.txt_attn.qkv", [f"transformer_blocks.0.attn.add_{part}_proj" for part in "qkv"]),
        (
            "single_blocks.1.linear1",
            [
                *(f"single_transformer_blocks.1.attn.to_{part}" for part in "qkv"),
                "single_transformer_blocks.1.proj_mlp",
            ],
        ),
        ("double_blocks.0.txt_mod.lin", ["transformer_blocks.0.norm1_context.linear"]),
        ("guidance_in.out_layer", ["time_text_embed.guidance_embedder.linear_2"]),
    ],
)
@pytest.mark.parametrize("scale", ["", "rows", "columns"])
def test_rows_of_one_layer_of_fluxs_own_go_to_several_layers(
    flux: Any, write: Write, name: str, layers: list[str], scale: str
) -> None:
    before, random = stacked(flux, layers), np.random.default_rng(0)
    flat = f"lora_unet_{name.replace('.', '_')}"
    down = random.normal(size=(2, before.shape[1])).astype(np.float32)
    up = random.normal(size=(before.shape[0], 2)).astype(np.float32)
    tensors: dict[str, Any] = {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
    expected = before.double().numpy() + up.astype(float) @ down
    if scale:
        axis = 1 if scale == "rows" else 0
        wanted = random.uniform(1, 2, size=[before.shape[0], 1] if axis else [1, before.shape[1]]).astype(np.float32)
        tensors[f"{flat}.dora_scale"] = wanted
        expected *= wanted / np.linalg.norm(expected, axis=axis, keepdims=True)
    adapter = read(write(tensors), Known({"transformer": flux}))
    assert not adapter.unused
    merge({"transformer": flux}, [Weighted(adapter, 1.0)])
    assert np.abs(stacked(flux, layers).numpy() - expected).max() <= 2e-6


def test_flux_has_scale_and_shift_of_its_end_the_other_way_round(flux: Any, write: Write) -> None:
    before = weight_of(flux, "norm_out.linear")
    own = factors(layer="lora_unet_final_layer_adaLN_modulation_1", width=16)
    down, up = own.values()
    up = np.vstack([up, 2 * up])
    merge(
        {"transformer": flux},
        [Weighted(read(write(dict(zip(own, (down, up), strict=True))), Known({"transformer": flux})), 1.0)],
    )
    change = (weight_of(flux, "norm_out.linear") - before).numpy()
    assert np.abs(change - np.vstack([up[16:], up[:16]]) @ down).max() <= 2e-6


def test_fluxs_second_text_encoder_is_known_as_the_third(write: Write) -> None:
    """Kohya's scripts call the T5 of Flux as that of Stable Diffusion 3."""
    from transformers import T5Config, T5EncoderModel

    t5 = T5EncoderModel(T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    layer = "encoder.block.0.layer.0.SelfAttention.q"
    flat, random = f"lora_te3_{layer.replace('.', '_')}", np.random.default_rng(0)
    up, down = random.normal(size=(8, 2)).astype(np.float32), random.normal(size=(2, 8)).astype(np.float32)
    adapter = read(
        write({f"{flat}.lora_up.weight": up, f"{flat}.lora_down.weight": down}), Known({"text_encoder_2": t5})
    )
    assert adapter.unused == []
    assert [(one.part, one.name) for one in adapter.layers] == [("text_encoder_2", layer)]


def test_names_of_flux_are_those_that_diffusers_converts(flux: Any, write: Write) -> None:
    """Adapters for each of its layers, through diffusers' own conversion."""
    from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers

    random, known = np.random.default_rng(0), Known({"transformer": flux})
    fused = {
        name: layer for (part, name), layer in known.flat.items() if "blocks" in name and "transformer" not in name
    }
    tensors = dict[str, Any]()
    for name, layer in fused.items():
        whole = stacked(flux, (layer.name, *layer.below))
        if "linear1" in name:  # diffusers knows it at the published size alone
            continue
        tensors[f"lora_unet_{name}.lora_down.weight"] = random.normal(size=(2, whole.shape[1])).astype(np.float32)
        tensors[f"lora_unet_{name}.lora_up.weight"] = random.normal(size=(whole.shape[0], 2)).astype(np.float32)
    converted = _convert_kohya_flux_lora_to_diffusers({key: torch.from_numpy(value) for key, value in tensors.items()})
    before = {name: weight_of(flux, name) for layer in fused.values() for name in (layer.name, *layer.below)}
    merge({"transformer": flux}, [Weighted(read(write(tensors), known), 1.0)])
    for name in {key.removeprefix("transformer.").rpartition(".lora_")[0] for key in converted}:
        down, up = (converted[f"transformer.{name}.lora_{part}.weight"] for part in "AB")
        assert torch.allclose(weight_of(flux, name) - before[name], up @ down, atol=2e-6)


def test_a_layer_named_alone_and_in_a_stack_takes_both_changes(flux: Any, write: Write) -> None:
    layers = [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"]
    one = factors(2, ".lora_A.weight", ".lora_B.weight", f"transformer.{layers[1]}", 16)
    down, up = one.values()
    other = {
        "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": down,
        "lora_unet_double_blocks_0_img_attn_qkv.lora_up.weight": np.vstack([up, up, up]),
    }
    before, known = stacked(flux, layers), Known({"transformer": flux})
    merge(
        {"transformer": flux},
        [Weighted(read(write(one, "a"), known), 1), Weighted(read(write(other, "b"), known), 0.5)],
    )
    change = (stacked(flux, layers) - before).numpy()
    assert np.allclose(change, np.vstack([0.5 * up @ down, 1.5 * up @ down, 0.5 * up @ down]), atol=2e-6)


def test_a_trained_scalar_multiplies_the_change(unet: UNet2DConditionModel, write: Write) -> None:
    own, before = factors(), weight_of(unet)
    scaled = own | {f"{FLAT}.scalar": np.array(0.25, np.float32), f"{FLAT}.alpha": np.array(1.0, np.float32)}
    change = (taken(write(scaled), unet) - before).double().numpy()
    expected = 0.25 * 0.5 * own[f"{FLAT}.lora_up.weight"].astype(float) @ own[f"{FLAT}.lora_down.weight"]
    assert np.abs(change - expected).max() <= 1e-6


def peft_folder(tmp_path: Path, tensors: Mapping[str, Any], **config: Any) -> Path:
    folder = tmp_path / "peft"
    folder.mkdir(exist_ok=True)
    save_file(dict(tensors), folder / "adapter_model.safetensors")
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "init_lora_weights": True, **config}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 8 / 2),
        ({"use_rslora": True}, 8 / 2**0.5),
        ({"alpha_pattern": {"attn1.to_q": 6}}, 6 / 2),
        ({"alpha_pattern": {f"^{LAYER}": 6, "to_q": 5}}, 6 / 2),
        ({"alpha_pattern": {"^to_q": 6, "attn2.to_q": 5}}, 8 / 2),
        ({"r": 64, "rank_pattern": {"to_q": 2}}, 8 / 2),
    ],
)
@pytest.mark.parametrize("dora", [False, True])
def test_a_folder_of_pefts_counts_as_its_config_says(
    unet: UNet2DConditionModel, tmp_path: Path, config: dict[str, Any], scale: float, dora: bool
) -> None:
    """ΔW = scale·BA, and with DoRA m·(W + ΔW)/‖W + ΔW‖ by rows, in 64 bits."""
    own = factors(2, ".lora_A.weight", ".lora_B.weight", f"base_model.model.{LAYER}")
    down, up = (value.astype(float) for value in own.values())
    expected = weight_of(unet).double().numpy() + scale * up @ down
    if dora:
        m = np.random.default_rng(2).uniform(1, 2, size=32).astype(np.float32)
        own[f"base_model.model.{LAYER}.lora_magnitude_vector"] = m
        expected *= (m / np.linalg.norm(expected, axis=1))[:, None]
    folder = peft_folder(tmp_path, own, use_dora=dora, **config)
    beside = said_in_config(folder, (folder / "adapter_config.json").read_bytes())
    content = (folder / "adapter_model.safetensors").read_bytes()
    merge({"unet": unet}, [Weighted(read_adapter(folder, content, Known({"unet": unet}), beside), 1.0)])
    assert np.abs(weight_of(unet).numpy() - expected).max() <= 5e-6


def test_pefts_magnitude_of_a_convolution_is_of_its_outputs(unet: UNet2DConditionModel, write: Write) -> None:
    layer = "down_blocks.0.resnets.0.conv1"
    before, m = weight_of(unet, layer), np.linspace(1, 2, 32, dtype=np.float32)
    file = write(
        {
            f"unet.{layer}.lora_A.weight": np.zeros((2, 32, 3, 3), np.float32),
            f"unet.{layer}.lora_B.weight": np.zeros((32, 2, 1, 1), np.float32),
            f"unet.{layer}.lora_magnitude_vector": m.reshape(1, 32, 1, 1),
        }
    )
    taken(file, unet)
    norms = torch.linalg.vector_norm(weight_of(unet, layer), dim=(1, 2, 3))
    assert torch.allclose(norms, torch.from_numpy(m), atol=1e-5)
    assert not torch.equal(weight_of(unet, layer), before)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"peft_type": "LOHA"}, "of PEFT's kind LOHA"),
        ({"init_lora_weights": "pissa"}, "which changes the base, too"),
        ({"alpha_pattern": {"(a+)+$": 2}}, "name each layer instead"),
        ({"lora_alpha": "many"}, "cannot be read"),
        ({"lora_alpha": 10**400}, "cannot be read"),
        ({"lora_alpha": float("nan")}, "not finite"),
        ({"alpha_pattern": [1]}, "cannot be read"),
    ],
)
def test_a_folder_of_pefts_that_would_count_otherwise_is_refused(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    folder = peft_folder(tmp_path, factors(), **config)
    with pytest.raises(UsageError, match=said):
        said_in_config(folder, (folder / "adapter_config.json").read_bytes())


def test_a_file_without_its_alpha_is_refused(unet: UNet2DConditionModel, write: Write) -> None:
    own = factors(2, ".lora_A.weight", ".lora_B.weight", f"base_model.model.{LAYER}")
    with pytest.raises(UsageError, match="with its α beside it"):
        taken(write(own), unet)


def test_a_key_that_fits_nothing_is_named_and_nothing_changes(unet: UNet2DConditionModel, write: Write) -> None:
    before = weight_of(unet)
    file = write(factors() | {"lora_unet_no_such_layer.lora_down.weight": np.zeros((2, 3), np.float32)})
    with pytest.raises(UsageError, match=r"1 key would go unused \(lora_unet_no_such_layer.lora_down.weight\)"):
        taken(file, unet)
    assert torch.equal(weight_of(unet), before)
    assert not torch.equal(taken(file, unet, partial=True), before)


def test_a_factor_of_another_kind_is_an_unused_key(unet: UNet2DConditionModel, write: Write) -> None:
    with pytest.raises(UsageError, match="hada_w1_b"):
        taken(write(factors() | {f"{FLAT}.hada_w1_b": np.zeros((2, 32), np.float32)}), unet)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "Stable Diffusion XL"),
        ({"modelspec.architecture": "stable-diffusion-v1/lora"}, None),
        ({"modelspec.architecture": "flux-1-dev/lora"}, "FLUX.1"),
        ({"ss_base_model_version": "something of one's own"}, None),
    ],
)
def test_a_file_that_says_another_base_is_refused_first(
    write: Write, metadata: dict[str, str], said: str | None
) -> None:
    with torch.device("meta"):
        base = UNet2DConditionModel(cross_attention_dim=768)
    adapter = read(write(factors(width=320), **metadata), Known({"unet": base}))
    if said is None:
        assert adapter.layers
        return
    with pytest.raises(UsageError, match=f"was made for {said}, the model is Stable Diffusion 1"):
        merge({"unet": base}, [Weighted(adapter, 1.0)])


def test_a_file_for_another_architecture_says_so(unet: UNet2DConditionModel, write: Write) -> None:
    file = write({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": np.zeros((2, 8), np.float32)})
    with pytest.raises(UsageError, match="fits no layer of the model"):
        taken(file, unet, partial=True)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda own: own.pop(f"{FLAT}.lora_up.weight"), "lacks up for unet.down_blocks"),
        (
            lambda own: own.update({f"{FLAT}.lora_up.weight": np.zeros((31, 2), np.float32)}),
            "does not fit unet.down_blocks",
        ),
        (lambda own: own.update({f"{FLAT}.lora_up.weight": np.full((32, 2), np.nan, np.float32)}), "not finite"),
        (
            lambda own: own.update({f"{FLAT}.lora_up.weight": np.zeros((32, 3), np.float32)}),
            "does not fit unet.down_blocks",
        ),
        (lambda own: own.update({f"{FLAT}.dora_scale": np.zeros((7, 1), np.float32)}), "dora_scale"),
        (lambda own: own.update({f"{FLAT}.lora_up.weight": np.array(1.0, np.float32)}), "does not fit"),
        (lambda own: own.update({f"{FLAT}.alpha": np.ones(2, np.float32)}), "does not fit"),
        (lambda own: own.update({f"{FLAT}.scalar": np.ones(2, np.float32)}), "does not fit"),
        (lambda own: own.update({f"unet.{LAYER}.lora_A.weight": np.zeros((2, 32), np.float32)}), "the same factor"),
    ],
)
def test_a_spoilt_file_changes_nothing(
    unet: UNet2DConditionModel, write: Write, spoil: Callable[[dict[str, Any]], Any], said: str
) -> None:
    own, before = factors(), weight_of(unet)
    spoil(own)
    with pytest.raises(UsageError, match=said):
        taken(write(own), unet)
    assert torch.equal(weight_of(unet), before)


def test_a_product_larger_than_memory_is_refused_by_its_shape(unet: UNet2DConditionModel, write: Write) -> None:
    wide = {
        f"{FLAT}.lokr_w1": np.zeros((1, 300_000), np.float32),
        f"{FLAT}.lokr_w2": np.zeros((300_000, 1), np.float32),
    }
    with pytest.raises(UsageError, match="its change is"):
        taken(write(wide), unet)


def test_a_scalar_of_a_layer_that_there_is_not_is_an_unused_key(unet: UNet2DConditionModel, write: Write) -> None:
    file = write(factors() | {"lora_unet_no_such_layer.scalar": np.array(2.0, np.float32)})
    before = weight_of(unet)
    with pytest.raises(UsageError, match=r"lora_unet_no_such_layer\.scalar"):
        taken(file, unet)
    change = taken(file, unet, partial=True) - before
    own = factors()
    assert np.allclose(change, own[f"{FLAT}.lora_up.weight"] @ own[f"{FLAT}.lora_down.weight"], atol=1e-6)


def test_a_file_cut_short_is_refused(unet: UNet2DConditionModel, write: Write, tmp_path: Path) -> None:
    whole = write(factors())
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-10])
    with pytest.raises(UsageError, match="cut short"):
        taken(cut, unet)


def test_expected_files_are_whole(oracles: Path) -> None:
    assert {file.stem for file in oracles.glob("*.safetensors")} == set(FILES)
    assert all(load_file(oracles / f"{name}.safetensors") for name in FILES)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def of_tiny_model(write: Write, name: str = "style", size: float = 1.0, **more: Any) -> Path:
    """An adapter for what paints the tiny model's pictures, visibly."""
    layer = "lora_unet_conv_out"
    tensors = {
        f"{layer}.lora_down.weight": np.full((1, 8, 3, 3), size, np.float32),
        f"{layer}.lora_up.weight": np.array([1.0, -1.0, 0.5, 2.0], np.float32).reshape(4, 1, 1, 1),
    }
    return write(tensors | more, name)


def generated(model: Path, out: Path, *more: str | Path) -> Ended:
    prompts = out.with_name("prompts.txt")
    prompts.write_text("a red feather\na blue leaf\n")
    return factory_here(
        *("generate", "--model", model, "--n", "2", "--steps", "2", "--batch", "2", "--out", out, *LOCAL),
        *("--prompts", prompts, "--max-attempts", "1"),
        *("--set", OPEN_GATES, "--set", "sampler.guidance=1", "--allow-short", *more),
    )


def test_an_adapter_changes_what_is_painted_and_is_part_of_the_plan(model: Path, write: Write, tmp_path: Path) -> None:
    file = of_tiny_model(write)
    plain, styled, half = tmp_path / "plain", tmp_path / "styled", tmp_path / "half"
    for out, more in ((plain, ()), (styled, ("--lora", file)), (half, ("--lora", f"{file}=0.5"))):
        ended = generated(model, out, *more)
        assert ended.code == 0, ended.err
    samples = [factory.open(out)[0] for out in (plain, styled, half)]
    assert not np.array_equal(samples[0].rgb, samples[1].rgb)
    assert not np.array_equal(samples[1].rgb, samples[2].rgb)
    assert len({sample.meta["model"] for sample in samples}) == 3
    refused = generated(model, styled)
    assert refused.code == 2
    assert "loras" in refused.sentence
    before = hashes(styled)
    assert generated(model, styled, "--lora", file).code == 0
    assert hashes(styled) == before


def test_an_adapter_of_weight_0_paints_what_the_model_paints(model: Path, write: Write, tmp_path: Path) -> None:
    assert generated(model, tmp_path / "plain").code == 0
    assert generated(model, tmp_path / "zero", "--lora", f"{of_tiny_model(write)}=0").code == 0
    one, other = (factory.open(tmp_path / name)[1] for name in ("plain", "zero"))
    assert np.array_equal(one.rgb, other.rgb)


def test_a_file_that_changed_after_planning_is_not_used(model: Path, write: Write, tmp_path: Path) -> None:
    file = of_tiny_model(write)
    out = tmp_path / "out"
    assert generated(model, out, "--lora", file).code == 0
    of_tiny_model(write, size=2.0)
    refused = generated(model, out, "--lora", file, "--n", "4")
    assert refused.code == 2
    assert f"{file.name} changed since {out} was begun: restore it" in refused.sentence


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--lora", "{file}", "--lora", "{file}=0.5"), "is named twice"),
        (("--lora", "no_such.safetensors"), "there is no such file"),
        (("--lora", "{file}=11"), "take one from -10 to 10"),
        (("--lora", "{file}=0,7"), "its weight '0,7' is no number"),
        (("--lora", "{foreign}"), "fits no layer of the model"),
        (("--lora", "{strange}"), "1 key would go unused"),
        (("--allow-partial",), "name one with --lora"),
    ],
)
def test_an_adapter_of_no_use_is_refused_before_anything_is_written(
    model: Path, write: Write, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    places = {
        "file": of_tiny_model(write),
        "foreign": write(factors(layer="lora_unet_no_such_layer"), "foreign"),
        "strange": of_tiny_model(write, "strange", **{"lora_te_nothing.alpha": np.array(1.0, np.float32)}),
    }
    refused = generated(model, tmp_path / "out", *(part.format(**places) for part in more))
    assert refused.code == 2
    assert said in refused.sentence
    assert not (tmp_path / "out").exists()


def test_a_folder_of_pefts_is_in_the_plan_with_its_config(model: Path, tmp_path: Path) -> None:
    layer = "base_model.model.conv_out"
    tensors = {
        f"{layer}.lora_A.weight": np.ones((1, 8, 3, 3), np.float32),
        f"{layer}.lora_B.weight": np.ones((4, 1, 1, 1), np.float32),
    }
    folder, out = peft_folder(tmp_path, tensors, r=1, lora_alpha=1), tmp_path / "out"
    assert generated(model, out, "--lora", folder).code == 0
    peft_folder(tmp_path, tensors, r=1, lora_alpha=2)
    refused = generated(model, out, "--lora", folder)
    assert refused.code == 2
    assert f"adapter_config.json changed since {out} was begun: restore it" in refused.sentence
    alone = generated(model, tmp_path / "alone", "--lora", folder / "adapter_model.safetensors")
    assert alone.code == 2
    assert "give the folder" in alone.sentence


def test_a_file_of_more_keys_than_adapters_have_is_refused_unread(model: Path, write: Write, tmp_path: Path) -> None:
    many = write({f"a{number}": np.zeros(0, np.float32) for number in range(100_001)}, "many")
    refused = generated(model, tmp_path / "out", "--lora", many)
    assert refused.code == 2
    assert "100,001 keys" in refused.sentence
