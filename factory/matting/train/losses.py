"""What a matte is off by, as the recipes of IndexNet and ViTMatte count it, and one of our own for small networks.

Lu, Dai, Shen, Xu, "Indices Matter: Learning to Index for Deep Image Matting", ICCV 2019, §4.2; Yao, Wang, Yang, Wang,
"ViTMatte: Boosting Image Matting with Pretrained Plain Vision Transformers", Information Fusion 2024, §3.4, with the
weights of its code. Processes that share a batch come to its gradients: what sums are divided by is the whole batch's.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from factory.matting.train.settings import LossRecipe

Mean = Callable[[Tensor], Tensor]
"""The mean of a tensor over all processes that share a batch."""

EPSILON = 1e-6  # of the Charbonnier penalty √(x² + ε²)
LEVELS = 5  # of the Laplacian pyramid
SQUARE_WEIGHT = 2.0
SLOPE_WEIGHT = 0.01  # of gradients that are there at all
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def matting_losses(
    recipe: LossRecipe, alpha: Tensor, batch: Mapping[str, Tensor], weighted: bool, mean: Mean = Tensor.detach
) -> dict[str, Tensor]:
    """The terms of a recipe, whose sum is the loss.

    alpha: (N, 1, H, W) float32, the network's.  batch: fields of `Item`, each with a leading N.
    weighted: whether a sample counts as far as its label is trusted.
    """
    truth, unknown = batch["alpha"], (batch["trimap"] == 0.5).float()
    weight = batch["weight"].view(-1, 1, 1, 1).float() if weighted else torch.ones_like(alpha[:, :1, :1, :1])
    if recipe == "small":
        return small_losses(alpha - truth, unknown, weight)
    if recipe == "indexnet":
        colours = batch["foreground"] - batch["background"]
        return indexnet_losses(alpha - truth, colours, unknown, weight)
    return vitmatte_losses(alpha, truth, unknown, weight, mean)


def indexnet_losses(error: Tensor, colours: Tensor, unknown: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Half the Charbonnier penalty of α, half that of the composition, each the mean over a sample's unknown pixels.

    error: (N, 1, H, W), α less the truth.  colours: (N, 3, H, W), F − B: the composition is off by (α − α*)(F − B),
    whatever has been done to the picture since it was composited.  unknown: (N, 1, H, W) of 0 and 1.
    weight: (N, 1, 1, 1).  The composition's three channels are summed.
    """
    pixels = unknown.sum(dim=(2, 3), keepdim=True).clamp(min=1)

    def term(off: Tensor) -> Tensor:
        penalty = torch.sqrt(off.square() + EPSILON**2) * unknown
        return 0.5 * (weight * penalty / pixels).sum() / len(off)

    return {"alpha": term(error), "composition": term(error * colours)}


def small_losses(error: Tensor, unknown: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Absolute and squared error and that of neighbours' differences, each the mean over a sample's unknown pixels.

    No paper's: for short trainings, in which the square keeps α from being wrong by all there is.
    error, unknown: (N, 1, H, W).  weight: (N, 1, 1, 1).
    """
    pixels = unknown.sum(dim=(2, 3), keepdim=True).clamp(min=1)

    def term(penalty: Tensor, region: Tensor) -> Tensor:
        return (weight * penalty * region / pixels).sum() / len(error)

    across, down = error.diff(dim=3).abs(), error.diff(dim=2).abs()
    return {
        "absolute": term(error.abs(), unknown),
        "square": SQUARE_WEIGHT * term(error.square(), unknown),
        "edges": term(across, unknown[..., 1:]) + term(down, unknown[..., 1:, :]),
    }


def vitmatte_losses(alpha: Tensor, truth: Tensor, unknown: Tensor, weight: Tensor, mean: Mean) -> dict[str, Tensor]:
    """L1 where unknown and where known, the Laplacian pyramid's, and the gradient's where unknown.

    alpha, truth, unknown: (N, 1, H, W).  weight: (N, 1, 1, 1).  Sums over the batch's unknown, or known, pixels are
    divided by their number in the batch.
    """
    known = 1 - unknown
    error = weight * (alpha - truth).abs()

    def over(region: Tensor, values: Tensor) -> Tensor:
        return (values * region).sum() / mean(region.sum()).clamp(min=1)

    slopes, true_slopes = _sobel(alpha), _sobel(truth)
    steps = (slopes - true_slopes).abs() + SLOPE_WEIGHT * slopes.abs()
    return {
        "unknown": over(unknown, error),
        "known": over(known, error),
        "laplacian": _laplacian(alpha, truth, weight),
        "gradient": over(unknown, weight * steps),
    }


def _sobel(alpha: Tensor) -> Tensor:
    """(N, 1, H, W) → (N, 2, H, W), across and down; beyond the border all is 0."""
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=alpha.device)
    return functional.conv2d(alpha, torch.stack([across, across.T])[:, None], padding=1)


def _laplacian(alpha: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Σ over levels of 2^level · mean |difference of the pyramids| / LEVELS.

    A pyramid is linear: that of the difference is the difference of the pyramids.
    """
    loss, rest = alpha.new_zeros(()), alpha - truth
    for level in range(LEVELS):
        rest = rest[..., : rest.shape[-2] // 2 * 2, : rest.shape[-1] // 2 * 2]
        coarse = _smooth(rest)[..., ::2, ::2]
        raised = torch.zeros_like(rest)
        raised[..., ::2, ::2] = 4 * coarse
        loss = loss + 2**level * (weight * (rest - _smooth(raised)).abs()).mean()
        rest = coarse
    return loss / LEVELS


def _smooth(x: Tensor) -> Tensor:
    """5×5 binomial filter, mirrored at the border."""
    line = torch.tensor(BINOMIAL, device=x.device) / 16
    return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), torch.outer(line, line)[None, None])
