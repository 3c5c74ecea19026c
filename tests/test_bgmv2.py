"""BackgroundMattingV2 computes what its published weights were trained to compute, at sizes where it stopped too.

The published network's outputs on seeded weights lie among the test pictures (FACTORY_DATA).
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from seeded_networks import oracle_folder, seeded

from factory.refine.bgmv2.network import BACKBONES, BackgroundMatting, scale_for
from factory.refine.bgmv2.refiner import Choice, Kernel, above, everywhere, worst

TOLERANCE = {"mobilenetv2": 5e-5, "resnet50": 1e-5}
CASES = [
    ("mobilenetv2", (256, 256)),
    ("mobilenetv2", (192, 320)),
    pytest.param("resnet50", (256, 256), marks=pytest.mark.slow),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def oracles(shared_data: Path) -> Path:
    return oracle_folder(shared_data)


@cache
def oracle(folder: Path, backbone: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / f"bmv2_{backbone}.json").read_bytes())
    return content | {"shapes": shapes(folder, backbone)}


@cache
def shapes(folder: Path, backbone: str) -> dict[str, dict[str, list[int]]]:
    content: dict[str, dict[str, list[int]]] = json.loads((folder / f"bmv2_{backbone}_shapes.json").read_bytes())
    return content


@cache
def base_weights(folder: Path, backbone: str) -> dict[str, torch.Tensor]:
    """The oracle's, of all but the refiner: half a second for the larger one."""
    return weights(folder, backbone, "MattingBase", oracle(folder, backbone)["adds"])


def weights(folder: Path, backbone: str, name: str, adds: object, prefix: str = "") -> dict[str, torch.Tensor]:
    own = oracle(folder, backbone)
    wanted = {key: shape for key, shape in own["shapes"][name].items() if key.startswith(prefix)}
    state = seeded(folder).state(wanted, own["gains"], adds)
    return {key: torch.from_numpy(value) for key, value in state.items()}


@cache
def network(folder: Path, backbone: str, kernel: Kernel) -> BackgroundMatting:
    """With the oracle's weights."""
    adds = oracle(folder, backbone)["adds_refiner"][str(kernel)]
    refiner = weights(folder, backbone, f"MattingRefine_k{kernel}", adds, "refiner.")
    built = BackgroundMatting(backbone, kernel)
    built.load_state_dict(base_weights(folder, backbone) | refiner, strict=True)
    return built


def inputs(folder: Path, size: tuple[int, int]) -> list[torch.Tensor]:
    return [torch.from_numpy(seeded(folder).uniform(name, (1, 3, *size))) for name in ("src", "bgr")]


def stored(folder: Path, backbone: str, size: tuple[int, int]) -> dict[str, NDArray[np.float32]]:
    with np.load(folder / f"bmv2_{backbone}_{size[0]}x{size[1]}.npz") as arrays:
        return dict(arrays)


def choice_of(case: dict[str, Any]) -> Choice:
    made: dict[str, Callable[[], Choice]] = {
        "full": lambda: everywhere,
        "thresholding": lambda: above(case["refine_threshold"]),
        "sampling": lambda: worst(case["refine_sample_pixels"]),
    }
    return made[case["refine_mode"]]()


def differs(mine: torch.Tensor, theirs: NDArray[np.float32]) -> float:
    assert tuple(mine.shape) == theirs.shape
    return float(np.abs(mine.numpy() - theirs).max())


def seen(image: torch.Tensor, start: int = 2, step: int = 5) -> torch.Tensor:
    """The pixels of an output that are stored."""
    return image[..., start::step, start::step]


# ---- as published


@pytest.mark.parametrize(("backbone", "size"), CASES)
@torch.inference_mode()
def test_the_base_gives_what_the_published_one_gives(oracles: Path, backbone: str, size: tuple[int, int]) -> None:
    picture, plate = inputs(oracles, size)
    theirs = stored(oracles, backbone, size)
    guess = network(oracles, backbone, 3).guess(picture, plate)
    tolerance = TOLERANCE[backbone]
    assert differs(seen(guess.alpha), theirs["base/pha"]) < tolerance
    assert differs(seen((guess.residual + picture).clamp(0, 1)), theirs["base/fgr"]) < tolerance
    assert differs(seen(guess.error), theirs["base/err"]) < tolerance
    assert differs(seen(guess.hidden, 1, 8), theirs["base/hid"]) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.25, 0.5])
@pytest.mark.parametrize(("backbone", "size"), CASES)
@torch.inference_mode()
def test_the_refiner_gives_what_the_published_one_gives(
    oracles: Path, backbone: str, size: tuple[int, int], scale: float
) -> None:
    """In every mode and with both kernels; the patches that are chosen are the same."""
    picture, plate = inputs(oracles, size)
    theirs = stored(oracles, backbone, size)
    tolerance = TOLERANCE[backbone]
    cases = [
        case
        for case in oracle(oracles, backbone)["cases"]
        if tuple(case["size"]) == size and case.get("backbone_scale") == scale
    ]
    assert len(cases) == 7
    for case in cases:
        refined = network(oracles, backbone, case["refine_kernel_size"]).refine(picture, plate, scale, choice_of(case))
        name = case["name"]
        assert int(refined.chosen.sum()) == case["patches"], name
        if f"{name}/ref_sm" in theirs:
            assert np.array_equal(refined.chosen.numpy(), theirs[f"{name}/ref_sm"] > 0), name
        assert differs(seen(refined.alpha), theirs[f"{name}/pha"]) < tolerance, name
        assert differs(seen(refined.foreground), theirs[f"{name}/fgr"]) < tolerance, name
        assert differs(refined.guess.alpha, theirs[f"s{scale}/pha_sm"]) < tolerance, name
        assert differs(refined.guess.error, theirs[f"s{scale}/err_sm"]) < tolerance, name


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("kernel", "name"), [(None, "MattingBase"), (3, "MattingRefine_k3"), (1, "MattingRefine_k1")])
def test_its_weights_have_the_published_names_and_shapes(
    oracles: Path, backbone: str, kernel: Kernel | None, name: str
) -> None:
    with torch.device("meta"):
        state = BackgroundMatting(backbone, kernel).state_dict()
    assert {key: list(tensor.shape) for key, tensor in state.items()} == shapes(oracles, backbone)[name]


# ---- of any size


@pytest.fixture(scope="module")
def small() -> BackgroundMatting:
    """Random weights, as torch draws them."""
    torch.manual_seed(0)
    return BackgroundMatting("mobilenetv2", 3)


@pytest.mark.parametrize("size", [(256, 256), (250, 256), (17, 33), (511, 300), (513, 514)])
@torch.inference_mode()
def test_pictures_of_any_size_get_an_alpha_of_their_size(small: BackgroundMatting, size: tuple[int, int]) -> None:
    alpha = small(torch.rand(1, 3, *size), torch.rand(1, 3, *size))
    assert alpha.shape == (1, 1, *size)
    assert bool(torch.isfinite(alpha).all())
    assert 0 <= float(alpha.min()) <= float(alpha.max()) <= 1


@pytest.mark.slow
@torch.inference_mode()
def test_so_do_large_ones(small: BackgroundMatting) -> None:
    assert small(torch.rand(1, 3, 1024, 1026), torch.rand(1, 3, 1024, 1026)).shape == (1, 1, 1024, 1026)


def test_the_base_sees_enough_of_a_picture_and_not_much_more() -> None:
    assert [scale_for(side, 2 * side) for side in (64, 256, 511)] == [1, 1, 1]
    assert [scale_for(side, side) for side in (512, 768, 1023)] == [1 / 2] * 3
    assert [scale_for(*size) for size in ((1024, 1024), (1080, 1920), (2160, 3840))] == [1 / 4, 1 / 4, 1 / 8]


@torch.inference_mode()
def test_more_patches_than_there_are_is_all_of_them(small: BackgroundMatting) -> None:
    picture, plate = torch.rand(2, 1, 3, 64, 64)
    sampled = small.refine(picture, plate, 0.5, worst(80_000))
    assert torch.equal(sampled.chosen, small.refine(picture, plate, 0.5, above(0)).chosen)


@torch.inference_mode()
def test_a_patch_that_is_chosen_is_refined_as_if_all_were(small: BackgroundMatting) -> None:
    picture, plate = torch.rand(2, 1, 3, 64, 64)
    some, full = (small.refine(picture, plate, 0.5, choice) for choice in (worst(64 * 16), everywhere))
    inside = some.chosen.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert (int(some.chosen.sum()), int(full.chosen.sum())) == (64, 256)
    assert torch.equal(some.alpha[inside], full.alpha[inside])
    assert not torch.equal(some.alpha, full.alpha)


@torch.inference_mode()
def test_where_no_patch_is_chosen_the_base_stands(small: BackgroundMatting) -> None:
    picture, plate = torch.rand(2, 1, 3, 64, 64)
    for choice in (above(1), worst(15)):
        refined = small.refine(picture, plate, 0.5, choice)
        assert not bool(refined.chosen.any())
        larger = torch.nn.functional.interpolate(refined.guess.alpha, (64, 64), mode="bilinear")
        assert torch.allclose(refined.alpha, larger)


@torch.inference_mode()
def test_patches_without_an_error_are_not_sampled() -> None:
    error = torch.tensor([[[[0.0, 0.3], [0.0, 0.2]]]])
    assert worst(16 * 3)(error).tolist() == [[[[False, True], [False, True]]]]
    assert worst(16 * 1 + 15)(error).tolist() == [[[[False, True], [False, False]]]]
