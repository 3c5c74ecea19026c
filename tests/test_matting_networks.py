"""Matting networks: equal to the published ones, small enough for two cores, and whole in their folders.

The published network's outputs on seeded weights lie among the test pictures (FACTORY_DATA).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from seeded_networks import oracle_folder, seeded
from torch import Tensor

from factory.errors import UsageError
from factory.matting.networks.colours import IMAGENET
from factory.matting.networks.folder import load_network, look, save_network
from factory.matting.networks.kinds import KINDS, build, checked
from factory.matting.networks.known_colours import CLUES, colour_clues
from factory.matting.networks.propagation import propagated
from factory.matting.networks.vitmatte_folder import remark_on
from factory.models.convert import convert
from factory.models.other_inputs import other_input


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def oracles(shared_data: Path) -> Path:
    return oracle_folder(shared_data)


@pytest.fixture(scope="session")
def published(oracles: Path) -> dict[str, Tensor]:
    shapes = json.loads((oracles / "indexnet_shapes.json").read_bytes())
    return {name: torch.from_numpy(value) for name, value in seeded(oracles).state(shapes).items()}


def batch(count: int, side: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(count, 3, side, side, generator=generator)
    return image, torch.randint(0, 3, (count, 1, side, side), generator=generator) / 2


def changed_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_bytes()) | changes))


# ---- as published


@pytest.mark.parametrize("size", [(160, 160), (192, 256)])
def test_indexnet_answers_as_the_published_one(
    oracles: Path, published: dict[str, Tensor], size: tuple[int, int]
) -> None:
    network = build("indexnet", {}).eval()
    network.load_state_dict(published, strict=True)
    drawn = seeded(oracles).uniform("image_trimap", (1, 4, *size))
    image, trimap = torch.from_numpy(drawn[:, :3]), torch.from_numpy(np.floor(3 * drawn[:, 3:]) / 2).float()
    with torch.inference_mode():
        alpha = network(image, trimap)
    with np.load(oracles / "indexnet.npz") as stored:
        theirs = stored[f"{size[0]}x{size[1]}/output"]
    assert np.abs(alpha.numpy() - theirs).max() < 3e-5


def test_the_published_checkpoint_is_converted_into_a_folder_that_opens(
    published: dict[str, Tensor], tmp_path: Path
) -> None:
    content = {"epoch": 30, "state_dict": {f"module.{name}": value for name, value in published.items()}}
    torch.save(content, tmp_path / "indexnet_matting.pth.tar")
    convert(tmp_path / "indexnet_matting.pth.tar", tmp_path / "indexnet" / "model.safetensors")
    assert look(tmp_path / "indexnet").kind == "indexnet"
    state = load_network(tmp_path / "indexnet").state_dict()
    assert all(torch.equal(state[name], value) for name, value in published.items())


def test_vitmatte_is_the_network_of_transformers_with_the_colours_of_its_authors(tmp_path: Path) -> None:
    from transformers import VitMatteForImageMatting

    torch.manual_seed(0)
    save_network(tmp_path, build("vitmatte", {}), "vitmatte", {})
    image, trimap = batch(2, 96)
    theirs, loaded = VitMatteForImageMatting.from_pretrained(tmp_path).eval(), load_network(tmp_path)
    mean, std = (torch.tensor(values) for values in IMAGENET)
    by_hand = torch.cat([(image - mean[:, None, None]) / std[:, None, None], trimap], dim=1)
    with torch.inference_mode():
        alpha = loaded(image, trimap)
        assert torch.equal(alpha, theirs(pixel_values=by_hand).alphas)
    assert alpha.std() > 0.001
    processor = json.loads((tmp_path / "preprocessor_config.json").read_bytes())
    assert (processor["image_mean"], processor["image_std"]) == tuple(map(list, IMAGENET))


def test_a_plain_folder_of_transformers_is_read_with_what_its_processor_says(tmp_path: Path) -> None:
    save_network(tmp_path, build("vitmatte", {}), "vitmatte", {})
    (tmp_path / "matting.json").unlink()
    assert not remark_on(tmp_path)
    image, trimap = batch(1, 64)
    with torch.inference_mode():
        as_authors = load_network(tmp_path)(image, trimap)
        halves = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}  # transformers' own defaults
        changed_json(tmp_path / "preprocessor_config.json", **halves)
        assert "image_mean to [0.485, 0.456, 0.406]" in remark_on(tmp_path)
        assert not torch.equal(load_network(tmp_path)(image, trimap), as_authors)


def test_a_vitmatte_that_was_saved_in_half_precision_is_loaded_in_float32(tmp_path: Path) -> None:
    save_network(tmp_path, build("vitmatte", {}), "vitmatte", {})
    weights = tmp_path / "model.safetensors"
    save_file({name: value.half() for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    changed_json(tmp_path / "config.json", dtype="float16")
    with torch.inference_mode():
        assert load_network(tmp_path)(*batch(1, 64)).dtype == torch.float32


# ---- every kind


@pytest.mark.parametrize(("kind", "options"), [*((kind, {}) for kind in KINDS), ("small", {"begins_with": "trimap"})])
def test_every_kind_learns_and_is_the_same_out_of_its_folder(
    kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = build(kind, options)
    image, trimap = batch(2, 2 * network.multiple)
    alpha = network(image, trimap)
    assert alpha.shape == trimap.shape
    alpha.square().mean().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []
    save_network(tmp_path, network, kind, options)
    with torch.inference_mode():
        assert torch.equal(load_network(tmp_path)(image, trimap), network.eval()(image, trimap))
    assert look(tmp_path).kind == kind
    assert "factory matte" in other_input(tmp_path)


def test_the_small_network_has_at_most_a_million_weights() -> None:
    assert sum(weight.numel() for weight in build("small", {}).parameters()) <= 1_000_000


def test_a_fingerprint_is_of_what_is_in_the_folder_and_not_of_where_it_lies(tmp_path: Path) -> None:
    network = build("small", {})
    for name in ("a", "b"):
        save_network(tmp_path / name, network, "small", {})
    before = look(tmp_path / "a").fingerprint
    assert look(tmp_path / "b").fingerprint == before
    save_network(tmp_path / "b", build("small", {}), "small", {})
    assert look(tmp_path / "b").fingerprint != before


# ---- what is refused


def test_an_unknown_kind_or_option_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="'indexnt' \\(did you mean indexnet"):
        checked("indexnt", {})
    with pytest.raises(UsageError, match="size"):
        checked("vitmatte", {"size": "huge"})
    with pytest.raises(UsageError, match="no field sise"):
        build("vitmatte", {"sise": "tiny"})


def test_weights_that_are_missing_or_of_another_shape_are_named(tmp_path: Path) -> None:
    save_network(tmp_path, build("small", {}), "small", {})
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    save_file({name: value for name, value in state.items() if name != "pred.weight"}, file)
    with pytest.raises(UsageError, match=r"pred.weight \(none\) where"):
        load_network(tmp_path)
    save_file({**state, "pred.weight": torch.zeros(1, 8, 5, 5)}, file)
    with pytest.raises(UsageError, match=r"pred.weight \(1, 8, 5, 5\) where"):
        load_network(tmp_path)
    save_file({**state, "more": torch.zeros(1)}, file)
    with pytest.raises(UsageError, match=r"more \(1,\) where"):
        load_network(tmp_path)


def test_the_folder_of_a_training_is_told_from_the_network_in_it(tmp_path: Path) -> None:
    save_network(tmp_path / "model", build("small", {}), "small", {})
    (tmp_path / "state.pt").write_bytes(b"")
    with pytest.raises(UsageError, match=r"name .*model\."):
        look(tmp_path)


def test_a_folder_that_is_no_network_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        look(tmp_path / "none")
    with pytest.raises(UsageError, match="is no matting network"):
        look(tmp_path)
    (tmp_path / "model.pth").touch()
    with pytest.raises(UsageError, match="factory convert"):
        look(tmp_path)
    (tmp_path / "matting.json").write_text('{"kind": "os.system"}')
    with pytest.raises(UsageError, match="names no matting network"):
        look(tmp_path)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", {"backbone": "timm/vit", "backbone_config": None}, "no backbone_config"),
        ("config.json", {"backbone_config": {"model_type": "swin", "num_channels": 4}}, "'swin'"),
        ("preprocessor_config.json", {"image_mean": [0.5]}, "image_mean"),
        ("preprocessor_config.json", {"image_std": [0.5, 0.5, 0]}, "image_std"),
        ("preprocessor_config.json", {"image_mean": [0.5, 0.5, float("nan")]}, "image_mean"),
    ],
)
def test_a_vitmatte_that_asks_for_something_else_is_refused(
    file: str, changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    save_network(tmp_path, build("vitmatte", {}), "vitmatte", {})
    changed_json(tmp_path / file, **changes)
    with pytest.raises(UsageError, match=said):
        look(tmp_path)


def test_colour_clues_tell_alpha_where_object_and_background_are_of_one_colour_each() -> None:
    red, blue = (torch.tensor(colour)[:, None, None] for colour in ((0.9, 0.1, 0.1), (0.1, 0.2, 0.8)))
    alpha = torch.linspace(1, 0, 64).expand(1, 1, 64, 64)
    trimap = torch.where(alpha > 0.7, 1.0, torch.where(alpha < 0.3, 0.0, 0.5))
    flat = torch.where(trimap == 0.5, alpha, trimap)
    clues = colour_clues(flat * red + (1 - flat) * blue, trimap)
    assert clues.shape == (1, CLUES, 64, 64)
    assert (clues[:, 6:] - flat).abs().max() < 0.03
    assert clues[:, :3][..., flat[0, 0] == 1].abs().max() < 0.01


def test_colour_clues_are_finite_where_nothing_is_known() -> None:
    clues = colour_clues(torch.rand(1, 3, 32, 32), torch.full((1, 1, 32, 32), 0.5))
    assert clues.isfinite().all()
    assert clues[:, 6:].abs().max() <= 1.5


def test_alpha_is_carried_along_the_picture_s_colours() -> None:
    """Hair before a sky that goes from blue to red: no two rows have the same colours."""
    sky = torch.linspace(0, 1, 64)[:, None].expand(64, 64)
    behind = torch.stack([sky, torch.full((64, 64), 0.4), 1 - sky])
    alpha = torch.zeros(64, 64)
    alpha[:, :24] = 1
    alpha[3::8, :44] = 1
    alpha[4::8, :44] = 0.6
    picture = alpha * torch.tensor([0.1, 0.05, 0.02])[:, None, None] + (1 - alpha) * behind
    trimap = torch.full((64, 64), 0.5)
    trimap[:, :20], trimap[:, 50:] = 1, 0
    found = propagated(picture[None], trimap[None, None])[0, 0]
    assert torch.equal(found[:, :20], torch.ones(64, 20))
    assert torch.equal(found[:, 50:], torch.zeros(64, 14))
    assert (found - alpha)[:, 20:50].square().mean() < 0.02  # ½ everywhere: 0.25


@pytest.mark.parametrize("trimap", [0.0, 0.5, 1.0])
def test_what_is_propagated_is_finite_where_all_or_nothing_is_known(trimap: float) -> None:
    known = torch.full((1, 1, 32, 48), trimap)
    for picture in (torch.zeros(1, 3, 32, 48), torch.rand(1, 1, 32, 48).expand(1, 3, 32, 48).contiguous()):
        torch.testing.assert_close(propagated(picture, known), known, atol=1e-3, rtol=0)


def test_windows_of_one_hue_do_not_drown_in_rounding() -> None:
    """Black and white stripes: their covariance has one direction, and is singular but for what noise adds."""
    stripes = (torch.arange(64) % 8 < 4).float().expand(1, 3, 32, 64).contiguous()
    trimap = torch.full((1, 1, 32, 64), 0.5)
    trimap[..., :16, :] = stripes[:, :1, :16]
    precise = propagated(stripes.double(), trimap.double())
    assert (propagated(stripes, trimap) - precise).abs().max() < 0.01
    assert (precise - stripes[:, :1]).abs().mean() < 0.05


def test_a_network_that_has_learned_nothing_answers_about_what_it_begins_with() -> None:
    picture, trimap = torch.rand(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.5)
    trimap[..., :20], trimap[..., 40:] = 1, 0
    for begins_with, told in (("propagated", propagated(picture, trimap).clamp(0, 1)), ("trimap", trimap)):
        torch.manual_seed(0)
        network = build("small", {"begins_with": begins_with}).eval()
        with torch.inference_mode():
            answered = network(picture, trimap)
        assert (answered - told).abs().max() < 0.3
