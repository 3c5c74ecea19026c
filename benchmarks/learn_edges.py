"""Train the networks that correct α by what neighbours tell (factory/greenscreen/keyer/edge_network.py).

    python benchmarks/edge_examples.py half --out FOLDER --n 5000 --seed 1
    python benchmarks/learn_edges.py half FOLDER --steps 16000 --out factory/greenscreen/keyer/edges_half.npz

and likewise with `drawn`, for drawn screens.
"""

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from edge_examples import FIELDS
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from factory.greenscreen.keyer.edge_network import network
from factory.greenscreen.keyer.edges import LAYERS, REACH
from factory.quality.metrics import SIGMA

WIDTH = (36, 32)  # (drawn, half) channels of the hidden layers
BATCH = 32
RATE = 1.5e-3
AVERAGED = 0.999  # decay of the average of the weights, which is what is saved
GRADIENT_WEIGHT = 1.0


def main() -> int:
    """Train one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("screen", choices=["half", "drawn"])
    parser.add_argument("folder", type=Path, help="of examples")
    parser.add_argument("--steps", type=int, default=16000)
    parser.add_argument("--begin", type=Path, help="weights to go on from")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    train(arguments.folder, arguments.steps, arguments.begin, arguments.out, half=arguments.screen == "half")
    return 0


def train(folder: Path, steps: int, begin: Path | None, out: Path, *, half: bool) -> None:
    """Fit the network to the examples, print how it does on some that it has not seen, and write its weights."""
    torch.manual_seed(0)
    files = [np.load(file) for file in sorted(folder.glob("*.npz"))]
    known = torch.from_numpy(np.concatenate([file["known"] for file in files]))
    alpha = torch.from_numpy(np.concatenate([file["alpha"] for file in files]))
    order = torch.randperm(len(known))
    unseen, seen = order[: len(order) // 25], order[len(order) // 25 :]
    convolutions = untrained(half=half) if begin is None else trained(begin, half=half)
    average = AveragedModel(convolutions, multi_avg_fn=get_ema_multi_avg_fn(AVERAGED))
    optimiser = torch.optim.AdamW(convolutions.parameters(), RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.03)
    with torch.inference_mode():
        x, y = known[unseen].float(), alpha[unseen].float()
        usual, before = float(losses(inner(x), y)[0].median()), [float(loss.mean()) for loss in losses(inner(x), y)]
    for step in range(steps):
        some = seen[torch.randint(len(seen), (BATCH,))]
        x, y = varied(known[some].float(), alpha[some].float())
        square, gradient = losses(corrected(x, convolutions), y)
        loss = square + GRADIENT_WEIGHT * gradient
        if not half:  # where nothing but shapes can mislead, most errors are small: each counts by what is left of it
            loss = loss / (losses(inner(x), y)[0] + usual)
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        schedule.step()
        average.update_parameters(convolutions)
        if (step + 1) % 500 == 0 or step + 1 == steps:
            with torch.inference_mode():
                x, y = known[unseen].float(), alpha[unseen].float()
                square, gradient = (loss.mean() for loss in losses(corrected(x, average.module), y))
            said = f"MSE {square:.3e} of {before[0]:.3e}   gradient {gradient:.3e} of {before[1]:.3e}"
            print(f"{step + 1:6}  {said}", flush=True)
            save(average.module, out)


def untrained(*, half: bool) -> nn.ModuleList:
    """Convolutions that change nothing yet."""
    sizes = [4 * FIELDS[half], *[WIDTH[half]] * (LAYERS - 1), 4]
    convolutions = nn.ModuleList(nn.Conv2d(a, b, 3) for a, b in pairwise(sizes))
    nn.init.zeros_(convolutions[-1].weight)
    nn.init.zeros_(convolutions[-1].bias)
    return convolutions.to(memory_format=torch.channels_last)


def trained(weights: Path, *, half: bool) -> nn.ModuleList:
    """Convolutions as they were saved."""
    convolutions = untrained(half=half)
    with np.load(weights) as file, torch.no_grad():
        for i, layer in enumerate(convolutions):
            layer.weight.copy_(torch.from_numpy(file[f"kernel_{i}"]))
            layer.bias.copy_(torch.from_numpy(file[f"bias_{i}"]))
    return convolutions


def save(convolutions: nn.ModuleList, out: Path) -> None:
    """Write the weights as float16: they take half the room and are as good."""
    arrays = {f"kernel_{i}": layer.weight for i, layer in enumerate(convolutions)}
    arrays |= {f"bias_{i}": layer.bias for i, layer in enumerate(convolutions)}
    np.savez(out, **{name: part.detach().contiguous().numpy().astype(np.float16) for name, part in arrays.items()})


def corrected(known: Tensor, convolutions: nn.ModuleList) -> Tensor:
    """α of the square in the middle, (N, SIDE, SIDE)."""
    layers = [(layer.weight, layer.bias) for layer in convolutions]
    with torch.autocast("cpu", torch.bfloat16):  # three times as fast where the processor has it
        return inner(known) + network(known, layers).float()


def inner(known: Tensor) -> Tensor:
    """α as it was."""
    return 1 - known[:, 0, REACH:-REACH, REACH:-REACH]


def losses(alpha: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) mean squared error of α and of its gradient's length (Grad of the matting metrics); overshoot is clipped."""
    alpha = alpha.clamp(-0.02, 1.02)
    return (alpha - truth).square().mean((1, 2)), (slope(alpha) - slope(truth)).square().mean((1, 2))


def slope(alpha: Tensor) -> Tensor:
    """Length of the Gaussian gradient, (N, H − 8, W − 8)."""
    x = torch.arange(-4.0, 5.0)
    bell = torch.exp(-x.square() / (2 * SIGMA**2))
    kernel = torch.outer(bell, -x * bell)
    kernel = kernel / kernel.square().sum().sqrt()
    both = functional.conv2d(alpha[:, None], torch.stack([kernel, kernel.T])[:, None])
    return (both.square().sum(dim=1) + 1e-6).sqrt()


def varied(known: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Both mirrored and transposed alike; brighter for darker than the screen, more or less so: α is the same."""
    for axis in (-1, -2):
        if torch.rand(()) < 0.5:
            known, alpha = known.flip(axis), alpha.flip(axis)
    if torch.rand(()) < 0.5:
        known, alpha = known.transpose(-1, -2), alpha.transpose(-1, -2)
    contrast = torch.exp2(torch.empty(len(known)).uniform_(-0.5, 0.5))
    sign = torch.where(torch.rand(len(known)) < 0.5, -1.0, 1.0)
    known = known.clone()
    known[:, 2:4] *= (contrast * sign)[:, None, None, None]  # luma, and the object's mean luma, less the screen's
    known[:, 4] *= contrast[:, None, None]  # σ of the object's luma
    if known.shape[1] > FIELDS[True]:  # the same for the third direction of colour
        sign = torch.where(torch.rand(len(known)) < 0.5, -1.0, 1.0)
        known[:, 6:8] *= (contrast * sign)[:, None, None, None]
    return known, alpha


if __name__ == "__main__":
    sys.exit(main())
