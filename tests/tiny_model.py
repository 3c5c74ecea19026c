"""A model in the format of the real ones with networks of no skill, in milliseconds: it paints blots on green."""

from pathlib import Path

import torch

from factory.diffusion import model_folder
from factory.diffusion.model_folder import Components
from factory.diffusion.train.networks import build
from factory.diffusion.train.settings import NetworkSettings

CAPTIONS = ("a red feather", "a blue leaf", "a glass bubble")
NETWORKS = NetworkSettings(
    vae_channels=(8, 16), vae_layers=1, unet_channels=(8, 16), unet_layers=1, unet_heads=2, text_width=16,
    text_layers=2, text_heads=2, text_length=16, norm_groups=4, head_hidden=8,
)  # fmt: skip
OPEN_GATES = (
    "gates={gsg_max: 500, spread_max: 500, coverage_min: 0, coverage_max: 1, border_max: 1, agreement_min: 0, "
    "residual_max: 500, green_residue_max: 500, duplicate_distance: -1}"
)


def save_tiny_model(folder: Path) -> Path:
    """Write the model; the same weights on every call."""
    components = build(NETWORKS, 32, CAPTIONS, seed=0)
    paint_green(components)
    model_folder.save(components, folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


@torch.no_grad()
def paint_green(components: Components) -> None:
    """Where feature 0 of the decoder is high (a 3×3 mean of it) lies an object, a purple one; elsewhere is screen."""
    paint, into, out = components.vae.decoder.conv_out, components.head.conv_in, components.head.conv_out
    for parameter in (*paint.parameters(), *into.parameters(), *out.parameters()):
        parameter.zero_()
    paint.weight[:, 0] = torch.tensor([1.0, -1.0, 1.0])[:, None, None] / 9
    paint.bias.copy_(torch.tensor([-1.0, 1.0, -1.0]))
    into.weight[0, 0] = 1 / 9
    out.weight[0, 0, 1, 1] = 30.0
    torch.nn.init.constant_(out.bias, -30 * 0.5)
