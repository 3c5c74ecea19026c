"""LayerDiffuse's networks tell what the published code tells, with the published weights' names.

The published code's outputs on seeded weights lie among the test pictures (FACTORY_DATA).
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from seeded_networks import oracle_folder, seeded
from torch import Tensor

from factory.diffusion.layerdiffuse.networks import OffsetEncoder, TransparentDecoder, transparent
from factory.diffusion.layerdiffuse.padding import padded

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
