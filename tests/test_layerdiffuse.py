"""LayerDiffuse's networks tell what the published code tells, with the published weights' names.

The published code's outputs on seeded weights lie among the test pictures (FACTORY_DATA).
"""

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from numpy.typing import NDArray
from program import factory_here
from safetensors.torch import save_file
from seeded_networks import oracle_folder, seeded
from tiny_pipelines import build
from tiny_pipelines.stable_diffusion import unet as sd_unet
from torch import Tensor
from torch.nn import functional

import factory
from factory.diffusion.layerdiffuse.files import kind_of_file
from factory.diffusion.layerdiffuse.networks import OffsetEncoder, TransparentDecoder, transparent
from factory.diffusion.layerdiffuse.padding import padded
from factory.diffusion.layerdiffuse.patches import PROJECTIONS, TEMPORAL, attention_layers, patch, patched
from factory.errors import UsageError

TOLERANCE, EXACT = 1e-4, 1e-6
ROUNDED = 5e-6  # of sums in float32: in float64 the encoder is 1.5e-6 from what is stored


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def oracles(shared_data: Path) -> Path:
    return oracle_folder(shared_data)


@cache
def network(oracles: Path, name: str) -> Any:
    told = json.loads((oracles / "layerdiffuse.json").read_bytes()).get(name, {})
    shapes = json.loads((oracles / "layerdiffuse_shapes.json").read_bytes())[name]
    weights = seeded(oracles).state(shapes, told.get("gains", ()), told.get("adds", {}))
    made = {"decoder": TransparentDecoder, "encoder": OffsetEncoder}[name]()
    made.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()}, strict=True)
    return made.eval()


def inputs(oracles: Path, height: int, width: int) -> tuple[Tensor, Tensor]:
    uniform = seeded(oracles).uniform
    picture = torch.from_numpy(uniform("pixel", (1, 3, height, width)))
    return picture, torch.from_numpy(uniform("latent", (1, 4, height // 8, width // 8)) * 4 - 2)


def expected(oracles: Path, file: str) -> dict[str, NDArray[Any]]:
    with np.load(oracles / f"{file}.npz") as stored:
        return dict(stored.items())


def test_the_decoder_tells_what_the_published_one_tells(oracles: Path) -> None:
    stored, decoder = expected(oracles, "layerdiffuse_128x128"), network(oracles, "decoder")
    picture, latent = inputs(oracles, 128, 128)
    with torch.inference_mode():
        assert np.abs(decoder(picture, latent).numpy() - stored["dec/128x128/single"]).max() <= TOLERANCE
        without = decoder(picture, torch.zeros_like(latent)).numpy()[..., 1::3, 1::3]
    assert np.abs(without - stored["dec/128x128/single_zero_latent_stride3"]).max() <= TOLERANCE
    told = transparent(decoder, picture, latent).numpy()
    assert np.abs(told - stored["dec/128x128/median8"]).max() <= TOLERANCE


@pytest.mark.slow
def test_a_picture_that_is_no_square_too(oracles: Path) -> None:
    cases = json.loads((oracles / "layerdiffuse.json").read_bytes())["decoder"]["cases"]
    (case,) = [case for case in cases if case["size"] == [192, 128]]
    told = transparent(network(oracles, "decoder"), *inputs(oracles, 192, 128))
    for name, value in (("mean", told.mean()), ("std", told.std(correction=0))):
        assert float(value) == pytest.approx(case["median8"][name], abs=1e-5)


def test_the_encoder_tells_what_the_published_one_tells(oracles: Path) -> None:
    encoder = network(oracles, "encoder")
    seen = torch.from_numpy(seeded(oracles).uniform("rgba_padded", (1, 4, 128, 128)))
    picture = expected(oracles, "layerdiffuse")
    with torch.inference_mode():
        told = encoder(seen).numpy()
        of_picture = encoder(_channels(picture["pad/rgba_uint8"])).numpy()
    assert np.abs(told - expected(oracles, "layerdiffuse_128x128")["enc/128x128/offset"]).max() <= ROUNDED
    assert np.abs(of_picture - picture["enc/picture_80x96/offset"]).max() <= ROUNDED


def _channels(rgba: NDArray[np.uint8]) -> Tensor:
    seen = np.dstack([rgba[..., 3:].astype(np.float32) / 255, padded(rgba)])
    return torch.from_numpy(np.ascontiguousarray(seen.transpose(2, 0, 1)[None]))


def test_padding_is_that_of_the_published_code(oracles: Path) -> None:
    stored = expected(oracles, "layerdiffuse")
    rgba = stored["pad/rgba_uint8"]
    assert np.abs(padded(rgba) - stored["pad/result_f32"]).max() <= EXACT
    clear = rgba[:24, :17].copy()
    clear[..., 3] = 0
    assert np.abs(padded(clear) - stored["pad/all_transparent_result_f32_24x17"]).max() <= EXACT


def test_padding_keeps_opaque_pixels_and_fills_the_others() -> None:
    rgba = np.zeros((40, 30, 4), np.uint8)
    rgba[10:20, 10:20] = (200, 30, 60, 255)
    filled = padded(rgba)
    assert np.allclose(filled[10:20, 10:20] * 255, (200, 30, 60), atol=1e-3)
    assert np.allclose(filled[0, 0] * 255, (200, 30, 60), atol=1)


def test_sizes_that_the_decoder_cannot_halve_are_refused() -> None:
    decoder = TransparentDecoder()
    for size, latent, said in (((160, 128), (20, 16), "multiples of 64"), ((128, 128), (8, 8), "does not go with")):
        with pytest.raises(ValueError, match=said):
            transparent(decoder, torch.zeros(1, 3, *size), torch.zeros(1, 4, *latent))


# What of it changes a U-Net


def test_forges_changes_are_those_of_its_own_code(oracles: Path) -> None:
    stored = expected(oracles, "layerdiffuse_forge_patch_toy")
    before = {key.removeprefix("before/"): torch.from_numpy(value) for key, value in stored.items() if "before/" in key}
    for scale in (1.0, 0.6):
        for key, weight in before.items():
            factors = dict[str, list[Tensor]]()
            for name, value in stored.items():
                if name.startswith(f"patch/{key}::"):
                    factors.setdefault(name.split("::")[1], []).append(torch.from_numpy(value))
            told = patched(weight, factors, scale).numpy()
            assert np.abs(told - stored[f"after_{scale}/{key}"]).max() <= EXACT


def a_unet() -> Any:
    torch.manual_seed(0)
    return sd_unet(32).requires_grad_(requires_grad=False).eval()


def hookers(unet: Any, rank: int = 3) -> dict[str, Tensor]:
    """A file for Stable Diffusion 1.5's kind of U-Net."""
    tensors = dict[str, Tensor]()
    for index, layer in enumerate(attention_layers(unet)):
        attention, start = unet.get_submodule(layer), f"hookers.layers.{index}."
        channels = attention.to_q.weight.shape[0]
        for lora, projection in PROJECTIONS.items():
            out, into = attention.get_submodule(projection).weight.shape
            tensors[f"{start}{lora}.0.up.weight"] = torch.randn(out, rank) / 8
            tensors[f"{start}{lora}.0.down.weight"] = torch.randn(rank, into) / 8
        for part in TEMPORAL:
            size = (channels,) if part == "n" else (channels, channels)
            tensors[f"{start}temporal_{part}.weight"] = torch.randn(*size) / 4
            tensors[f"{start}temporal_{part}.bias"] = torch.randn(channels) / 4
    return tensors


def test_an_attention_is_followed_by_a_temporal_one_over_one_frame() -> None:
    """Written out: query, key and softmax included, around LoRA that is not merged."""
    unet = a_unet()
    tensors, layer = hookers(unet), attention_layers(unet)[1]
    original = copy.deepcopy(unet.get_submodule(layer))
    x, text = torch.randn(2, 5, original.to_q.weight.shape[1]), torch.randn(2, 7, 32)

    def of(name: str) -> Tensor:
        return tensors[f"hookers.layers.1.{name}"]

    for lora, projection in PROJECTIONS.items():
        original.get_submodule(projection).weight.data += of(f"{lora}.0.up.weight") @ of(f"{lora}.0.down.weight")
    told = original(x, encoder_hidden_states=text)
    h = x + told
    n = functional.layer_norm(h, h.shape[-1:], of("temporal_n.weight"), of("temporal_n.bias"))
    frames = functional.linear(n, of("temporal_i.weight"), of("temporal_i.bias")).reshape(-1, 1, h.shape[-1])
    q, k, v = (functional.linear(frames, of(f"temporal_{part}.weight"), of(f"temporal_{part}.bias")) for part in "qkv")
    temporal = functional.linear(
        functional.scaled_dot_product_attention(q, k, v), of("temporal_o.weight"), of("temporal_o.bias")
    )
    patch(unet, tensors, Path("file"))
    assert torch.allclose(
        unet.get_submodule(layer)(x, encoder_hidden_states=text), told + temporal.reshape(h.shape), atol=1e-5
    )


def test_published_files_fit_the_published_base(shared_data: Path) -> None:
    file = shared_data / "layerdiffuse_state_dict_shapes.json"
    if not file.is_file():
        pytest.skip(f"no shapes of published files at {file}")
    shapes = json.loads(file.read_bytes())
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
        assert attention_layers(unet) == shapes["sd15_hooker_index_to_diffusers"]
        attn = {key: torch.empty(size) for key, size in shapes["sd15_transparent_attn"].items()}
        patch(unet, attn, Path("attn"))
        for name, said in (
            ("sd15_joint", "several layers"),
            ("sd15_fg2bg_and_bg2fg", "before or behind a given picture"),
        ):
            other = {key: torch.empty(size) for key, size in shapes[name].items()}
            with pytest.raises(UsageError, match=said):
                patch(UNet2DConditionModel(cross_attention_dim=768), other, Path(name))
        xl = UNet2DConditionModel(
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            block_out_channels=(320, 640, 1280),
            transformer_layers_per_block=[1, 2, 10],
            attention_head_dim=[5, 10, 20],
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        for name in (
            "sdxl_transparent_attn_forge",
            "sdxl_transparent_attn_diffusers_offset",
            "sdxl_transparent_conv_offset",
        ):
            patch(xl, {key: torch.empty(size) for key, size in shapes[name].items()}, Path(name))
        for name in ("sdxl_fg2ble_bg2ble_offset", "sdxl_fgble2bg_offset"):
            with pytest.raises(UsageError, match="takes more channels"):
                patch(xl, {key: torch.empty(size) for key, size in shapes[name].items()}, Path(name))
        assert kind_of_file({key: tuple(size) for key, size in shapes["transparent_decoder"].items()}) == "decoder"
        assert kind_of_file({key: tuple(size) for key, size in shapes["transparent_encoder"].items()}) == "encoder"
        decoder = TransparentDecoder().state_dict()
        assert {key: list(value.shape) for key, value in decoder.items()} == shapes["transparent_decoder"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors: tensors.pop("hookers.layers.0.temporal_i.bias"), "lacks hookers.layers.0.temporal_i.bias"),
        (lambda tensors: tensors.update({"hookers.more": torch.zeros(1)}), "hookers.more names nothing"),
        (
            lambda tensors: tensors.update({"hookers.layers.0.to_q_lora.0.down.weight": torch.zeros(3, 5)}),
            "is for another model",
        ),
    ],
)
def test_a_patch_that_does_not_fit_is_refused(change: Callable[[dict[str, Tensor]], Any], said: str) -> None:
    unet = a_unet()
    tensors = hookers(unet)
    change(tensors)
    with pytest.raises(UsageError, match=said):
        patch(unet, tensors, Path("file"))


@pytest.mark.slow
def test_layers_are_painted_from_the_command_line(tmp_path: Path) -> None:
    pipeline, files, out = build("StableDiffusionPipeline"), tmp_path / "layers", tmp_path / "out"
    pipeline.vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, layers_per_block=1,
        block_out_channels=(8, 8, 8, 8), norm_num_groups=4, sample_size=64,
    )  # fmt: skip
    pipeline.save_pretrained(tmp_path / "model")
    files.mkdir()
    save_file(hookers(pipeline.unet), files / "layer_sd15_transparent_attn.safetensors")
    decoder = TransparentDecoder()
    torch.nn.init.constant_(decoder.conv_out.bias, 0.5)
    save_file(decoder.state_dict(), files / "layer_sd15_vae_transparent_decoder.safetensors")
    (tmp_path / "prompts.txt").write_text("a red feather\n")
    gates = (
        "gates={coverage_min: 0, coverage_max: 1, border_max: 1, key_distance_min: null, green_residue_max: null, "
        "residual_max: null, checkerboard_max: 1}"
    )
    run = (
        *(
            "generate",
            "--model",
            tmp_path / "model",
            "--layers",
            files,
            "--prompts",
            tmp_path / "prompts.txt",
            "--n",
            "2",
        ),
        *("--batch", "2", "--steps", "2", "--set", "sampler.size=128", "--set", gates, "--out", out),
        *("--executor", "local"),
    )
    ended = factory_here(*run)
    assert ended.code == 0, ended.err
    (first, _) = factory.open(out)
    assert first.meta["source"] == "LayerDiffuse on StableDiffusionPipeline"
    assert len(np.unique(first.alpha)) > 10
    (files / "layer_sd15_transparent_attn.safetensors").rename(files / "layer_xl_transparent_attn.safetensors")
    assert "is for another base" in factory_here(*run).sentence
