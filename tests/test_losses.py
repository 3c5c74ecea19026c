"""The losses are the paper's equations, recomputed here literally with numpy, and obey their laws."""

from typing import Literal, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion.train import losses
from factory.diffusion.train.networks import build_scheduler

Array = NDArray[np.float64]
Form = Literal["magnitude", "literal"]
torch.set_num_threads(1)  # workers multiply, not threads
SOBEL_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8

unit = st.floats(0, 1, width=32)
masks = arrays(np.float32, (3, 1, 4, 4), elements=unit)
timesteps = st.integers(0, 999)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def alpha_bars(t: list[int]) -> Tensor:
    bars: Tensor = build_scheduler().alphas_cumprod[t]
    return bars


def sobel_by_hand(image: Array, kernel: Array) -> Array:
    """(H, W) → (H, W), one product and sum per pixel; beyond the border the nearest pixel counts."""
    padded = np.pad(image, 1, mode="edge")
    height, width = image.shape
    result = np.zeros((height, width))
    for y, x in np.ndindex(height, width):
        result[y, x] = (padded[y : y + 3, x : x + 3] * kernel).sum()
    return result


def high_frequency_by_hand(image: Array, mask: Array, form: Form) -> Array:
    g_x, g_y = sobel_by_hand(image, SOBEL_X), sobel_by_hand(image, SOBEL_X.T)
    if form == "literal":
        return (g_x + g_y) * image * mask
    return np.sqrt(g_x**2 + g_y**2 + losses.EPS) * mask


def area_means(mask: Array, side: int) -> Array:
    """(H, W) → (side, side), each the mean of its block."""
    block = len(mask) // side
    means: Array = mask.reshape(side, block, side, block).mean(axis=(1, 3))
    return means


def test_equation_1_is_the_mean_squared_error_of_the_noise() -> None:
    epsilon, epsilon_hat = normal(3, 4, 5, 5), normal(3, 4, 5, 5, seed=1)
    expected = np.mean((epsilon.numpy().astype(float) - epsilon_hat.numpy()) ** 2)
    assert float(losses.noise_loss(epsilon, epsilon_hat, torch.ones(3))) == pytest.approx(expected, rel=1e-6)


def test_a_weight_counts_per_sample() -> None:
    epsilon, epsilon_hat, weight = normal(3, 4, 5, 5), normal(3, 4, 5, 5, seed=1), torch.tensor([0.0, 1.0, 3.0])
    squares = ((epsilon - epsilon_hat) ** 2).numpy().mean(axis=(1, 2, 3))
    expected = (squares[1] + 3 * squares[2]) / 3
    assert float(losses.noise_loss(epsilon, epsilon_hat, weight)) == pytest.approx(expected, rel=1e-6)


def test_equation_3_averages_layers_of_all_sizes() -> None:
    M = uniform(2, 1, 16, 16)
    attention = {f"layer{side}": uniform(2, side * side, seed=side) for side in (2, 4, 8)}
    has_token = torch.tensor([True, True])
    by_layer = []
    for side in (2, 4, 8):
        a_j = attention[f"layer{side}"].numpy().reshape(2, side, side)
        background = np.stack([1 - area_means(mask.astype(float), side) for mask in M[:, 0].numpy()])
        by_layer.append(np.abs(a_j - background).mean())
    found = float(losses.green_background_loss(attention, M, has_token))
    assert found == pytest.approx(np.mean(by_layer), rel=1e-5)


@pytest.mark.parametrize("form", ["literal", "magnitude"])
def test_equation_4_by_hand(form: Form) -> None:
    z, M = normal(2, 4, 6, 5), uniform(2, 1, 6, 5)
    found = losses.high_frequency(z, M, form).numpy()
    for b in range(2):
        for channel in range(4):
            expected = high_frequency_by_hand(z[b, channel].numpy().astype(float), M[b, 0].numpy(), form)
            np.testing.assert_allclose(found[b, channel], expected, atol=1e-5)


@pytest.mark.parametrize("form", ["literal", "magnitude"])
def test_equation_5_is_the_weighted_distance_of_both(form: Form) -> None:
    z0_hat, z0, M, weight = normal(2, 4, 6, 6), normal(2, 4, 6, 6, seed=1), uniform(2, 1, 6, 6), torch.tensor([0.5, 1])
    total = 0.0
    for b in range(2):
        for channel in range(4):
            mask = M[b, 0].numpy()
            h_hat = high_frequency_by_hand(z0_hat[b, channel].numpy().astype(float), mask, form)
            h = high_frequency_by_hand(z0[b, channel].numpy().astype(float), mask, form)
            total += float(weight[b]) * np.abs(h_hat - h).mean() / 4 / 2
    assert float(losses.detail_loss(z0_hat, z0, M, weight, form)) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("prediction", get_args(losses.Prediction))
@given(t=timesteps, seed=st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_equation_6_inverts_the_noising(prediction: losses.Prediction, t: int, seed: int) -> None:
    z0, epsilon, alpha_bar = normal(1, 4, 3, 3, seed=seed), normal(1, 4, 3, 3, seed=seed + 1), alpha_bars([t])
    a = alpha_bar.view(1, 1, 1, 1)
    z_t = a.sqrt() * z0 + (1 - a).sqrt() * epsilon
    told = losses.target(z0, epsilon, alpha_bar, prediction)
    assert torch.allclose(losses.estimate_z0(z_t, told, alpha_bar, prediction), z0, atol=1e-4)


def test_velocity_is_the_schedulers_own() -> None:
    scheduler = build_scheduler("v_prediction")
    z0, epsilon, t = normal(3, 4, 2, 2, seed=0), normal(3, 4, 2, 2, seed=1), torch.tensor([0, 400, 999])
    wanted = scheduler.get_velocity(z0, epsilon, t)
    assert torch.allclose(losses.target(z0, epsilon, scheduler.alphas_cumprod[t], "v_prediction"), wanted, atol=1e-6)


def test_equation_8_in_numbers() -> None:
    """Two soft masks that overlap, two objects beside each other, and a binary mask that has no say."""
    M_cp = torch.tensor([[1.0, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]).view(3, 1, 2, 2)
    M = torch.tensor([[0.5, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]).view(3, 1, 2, 2)
    # The first: |M_cp − M| is 0.5, 0, 0.5, 0, their mean 1/4; the minima sum to 1 and both masks to 3/2, so the dice
    # is 2/3 (1/2 if ∩ were a product). The second: a mean of 1/2, no overlap.
    soft_alpha = torch.tensor([True, True, False])
    first, second = 1 / 4 + 1 - 2 / 3, 1 / 2 + 1 - 0
    assert float(losses.matting_loss(M_cp, M, soft_alpha)) == pytest.approx((first + second) / 2, rel=1e-5)
    assert float(losses.matting_loss(M_cp[:1], M[:1], soft_alpha[:1])) == pytest.approx(7 / 12, rel=1e-5)


@given(M=masks, other=masks)
@settings(max_examples=100, deadline=None)
def test_l_latent_is_zero_for_equal_masks_and_only_for_them(M: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    M[:, :, 0, 0] = 1  # an object is there: the dice of two empty masks is not defined
    everyone = torch.ones(3, dtype=torch.bool)
    truth, guess = torch.from_numpy(M), torch.from_numpy(other)
    assert float(losses.matting_loss(truth, truth, everyone)) == pytest.approx(0, abs=1e-6)
    if np.abs(M - other).max() > 1e-3:
        assert float(losses.matting_loss(guess, truth, everyone)) > 1e-5


@given(M=arrays(np.float32, (2, 1, 8, 8), elements=unit), wrong=st.floats(0.01, 1))
@settings(max_examples=50, deadline=None)
def test_l_g_is_zero_where_attention_is_the_background(M: NDArray[np.float32], wrong: float) -> None:
    tensor, has_token = torch.from_numpy(M), torch.tensor([True, True])
    background = {side: 1 - torch.nn.functional.adaptive_avg_pool2d(tensor, side).flatten(1) for side in (8, 4, 2)}
    exact = {str(side): value for side, value in background.items()}
    assert float(losses.green_background_loss(exact, tensor, has_token)) == 0
    shifted = exact | {"4": exact["4"] + wrong}
    assert float(losses.green_background_loss(shifted, tensor, has_token)) == pytest.approx(wrong / 3, rel=1e-4)


@given(loud=st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_samples_without_the_token_say_nothing_about_the_background(loud: float) -> None:
    M, A_j = uniform(2, 1, 8, 8), uniform(2, 64, seed=1)
    first = torch.tensor([True, False])
    alone = losses.green_background_loss({"layer": A_j[:1]}, M[:1], first[:1])
    A_j[1] = loud
    assert torch.equal(losses.green_background_loss({"layer": A_j}, M, first), alone)


def test_binary_masks_stay_out_of_the_heads_loss() -> None:
    M_cp, M = uniform(2, 1, 8, 8), uniform(2, 1, 8, 8, seed=1)
    alone = losses.matting_loss(M_cp[1:], M[1:], torch.tensor([True]))
    M_cp[0] = 1 - M_cp[0]
    assert torch.equal(losses.matting_loss(M_cp, M, torch.tensor([False, True])), alone)


def test_a_batch_of_none_but_excluded_samples_is_zero_and_moves_nothing() -> None:
    M, nobody = uniform(2, 1, 8, 8), torch.tensor([False, False])
    M_cp, A_j = uniform(2, 1, 8, 8, seed=1).requires_grad_(), uniform(2, 64, seed=2).requires_grad_()
    total = losses.matting_loss(M_cp, M, nobody) + losses.green_background_loss({"layer": A_j}, M, nobody)
    total.backward()  # type: ignore[no-untyped-call]
    assert total.item() == 0
    for tensor in (M_cp, A_j):
        assert tensor.grad is not None
        assert not tensor.grad.any()


@given(M=masks)
@settings(max_examples=50, deadline=None)
def test_a_binary_mask_loses_its_band_and_a_soft_one_nothing(M: NDArray[np.float32]) -> None:
    M[:, :, 0, 0] = 1
    tensor = torch.from_numpy(M)
    assert torch.equal(losses.transition_mask(tensor, torch.tensor([True] * 3)), tensor)
    certain = losses.transition_mask(tensor, torch.tensor([False] * 3)).numpy()
    assert set(np.unique(certain)) <= {0, 1}
    assert (certain == (M >= 1 - losses.EPS)).all()


def test_the_literal_form_is_blind_where_the_magnitude_sees() -> None:
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    M = torch.ones(1, 1, 8, 8)
    anti_diagonal = (x - y).view(1, 1, 8, 8)
    inside = (..., slice(1, -1), slice(1, -1))
    assert losses.high_frequency(anti_diagonal, M, "literal")[inside].abs().max() < 1e-6
    assert losses.high_frequency(anti_diagonal, M, "magnitude")[inside].min() == pytest.approx(2**0.5, rel=1e-5)
    dark_hair = torch.ones(1, 1, 8, 8)
    dark_hair[..., 4] = 0
    assert float(losses.high_frequency(dark_hair, M, "literal")[..., 4].abs().max()) == 0
    assert losses.high_frequency(dark_hair, M, "magnitude")[..., 3].min() > 0.4


def test_a_unit_ramp_has_slope_one() -> None:
    ramp = torch.arange(6.0).expand(1, 2, 5, 6)
    across, down = losses.sobel(ramp)
    assert torch.equal(across[..., 1:-1], torch.ones(1, 2, 5, 4))
    assert not down.any()


@given(t=timesteps, gamma=st.floats(0.1, 20))
@settings(max_examples=50, deadline=None)
def test_min_snr_weighs_clean_steps_down_and_gamma_0_is_the_paper(t: int, gamma: float) -> None:
    alpha_bar = alpha_bars([t])
    snr = float(alpha_bar / (1 - alpha_bar))
    of_epsilon, of_v = (losses.min_snr_weight(alpha_bar, gamma, kind) for kind in get_args(losses.Prediction))
    assert float(of_epsilon) == pytest.approx(min(snr, gamma) / snr, rel=1e-5)
    assert float(of_v) == pytest.approx(min(snr, gamma) / (snr + 1), rel=1e-5)
    assert float(losses.min_snr_weight(alpha_bar, 0, "epsilon")) == 1


def test_detail_counts_less_where_the_estimate_is_noise() -> None:
    weight = losses.timestep_weight(alpha_bars([0, 200, 500, 800, 999])).numpy()
    a = alpha_bars([500, 800, 999]).numpy().astype(float)
    assert weight[0] == weight[1] == 1
    np.testing.assert_allclose(weight[2:], np.sqrt(a / (1 - a)), rtol=1e-5)
    assert weight[4] < 0.07
