"""Stage "autoencoder": a fresh small AutoencoderKL learns to give pictures back, screens exactly.

Then its latents are centred on the key colour: the shift is folded into the two 1×1 convolutions, so the model stays a
plain AutoencoderKL. A screen is then near 0 in latent space, the mean of the noise that sampling starts from.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from factory.diffusion.sample.samplers import screen_latent
from factory.diffusion.sizes import square
from factory.diffusion.train import data as training_data
from factory.diffusion.train.data import TrainingSet
from factory.diffusion.train.settings import TrainSettings
from factory.greenscreen.colours import Colour
from factory.models.precision import autocast
from factory.training import draws
from factory.training.draws import WHOLE, Share


def saturating_error(x_hat: Tensor, x: Tensor, margin: float) -> Tensor:
    """|x̂ − x|, but pure channel values (±1) are asked to overshoot by `margin` and may overshoot further.

    The picture is clamped to −1..1 when it is stored, so a flat (0, 255, 0) comes back exactly in spite of small errors
    of the decoder or of a generated latent.
    """
    sign = torch.where(x >= 1, 1.0, 0.0) - torch.where(x <= -1, 1.0, 0.0)
    shortfall = (1 + margin - sign * x_hat).clamp(min=0)
    return torch.where(sign != 0, shortfall, (x_hat - x).abs())


def edge_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """Mean L1 between the finite differences of the clamped pictures: edges and strands stay sharp."""
    x_hat = x_hat + (x_hat.clamp(-1, 1) - x_hat).detach()
    across = (x_hat.diff(dim=-1) - x.diff(dim=-1)).abs().mean()
    down = (x_hat.diff(dim=-2) - x.diff(dim=-2)).abs().mean()
    return across + down


def autoencoder_losses(vae: AutoencoderKL, x: Tensor, noise: Tensor, s: TrainSettings) -> dict[str, Tensor]:
    """X (B, 3, H, W) in −1..1 through a drawn latent (noise: (B, 4, h, w)) and back. KL is a mean per latent value."""
    posterior = vae.encode(x).latent_dist
    x_hat = vae.decode(posterior.mean + posterior.std * noise).sample.float()
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    error = saturating_error(x_hat, x, s.saturation_margin)
    return {
        "pixels": error.mean(),
        "squares": (error**2).mean(),
        "edges": s.edge_weight * edge_error(x_hat, x),
        "kl": s.kl_weight * kl,
    }


class Batch(NamedTuple):
    """x: (B, 3, H, W) pictures in −1..1.  noise: (B, 4, h, w), standard normal."""

    x: Tensor
    noise: Tensor


@dataclass(frozen=True)
class AutoencoderTask:
    """Everything the losses of a step are computed from."""

    vae: AutoencoderKL
    data: TrainingSet
    settings: TrainSettings
    phase: int
    device: torch.device

    def batch(self, step: int, size: int, share: Share = WHOLE) -> Batch:
        """A share of the inputs of a step of so many samples: a pure function of (seed, phase, step)."""
        s, here = self.settings, share.of(size)
        chosen = draws.draw_batch(self.data.order, s.seed, self.phase, step, size)
        mirrored = draws.draw_mirrored(s.seed, self.phase, step, size, s.flip)
        side = s.size // 2 ** (len(self.vae.config.block_out_channels) - 1)
        generator = draws.step_generator(s.seed, self.phase, step)
        noise = torch.randn(size, self.vae.config.latent_channels, side, side, generator=generator)
        x = training_data.pictures(self.data, chosen[here], mirrored[here])
        return Batch(x.to(self.device), noise[here].to(self.device))

    def watching(self) -> AbstractContextManager[object]:
        """Nothing is."""
        return nullcontext()

    def losses(self, b: Batch) -> dict[str, Tensor]:
        """The terms of `autoencoder_losses`."""
        with autocast(self.settings.bf16, self.device):
            return autoencoder_losses(self.vae, b.x, b.noise, self.settings)


def key_latent(vae: AutoencoderKL, key_rgb: Colour, size: int) -> Tensor:
    """(4,) latent mean of a solid key-colour picture at its centre, where no border is near."""
    z = screen_latent(vae, key_rgb, square(size))
    return z[0, :, z.shape[2] // 2, z.shape[3] // 2].clone()


def centre_on_key(vae: AutoencoderKL, key_rgb: Colour, size: int) -> None:
    """Shift the latents so that the key colour is 0, in place: z' = z − z_key, decoded as z' + z_key. Exact."""
    z_key = key_latent(vae, key_rgb, size)
    with torch.no_grad():
        vae.quant_conv.bias[: len(z_key)] -= z_key
        vae.post_quant_conv.bias += vae.post_quant_conv.weight[:, :, 0, 0] @ z_key


def scaling_factor(latents: NDArray[np.float16]) -> float:
    """1/rms of the centred latents over (at most 4096 pictures of) the data, as Stable Diffusion's 0.18215 is."""
    stride = max(1, len(latents) // 4096)
    return float(1 / np.sqrt(np.mean(np.square(latents[::stride].astype(np.float64)))))
