"""ViTMatte (Yao et al., 2023) as transformers has it, with pictures normalised as its weights expect."""

from dataclasses import dataclass
from pathlib import Path

import transformers
from torch import Tensor, nn
from transformers import VitDetConfig, VitMatteConfig, VitMatteForImageMatting

from factory.matting.networks.colours import IMAGENET, Colours
from factory.matting.networks.kinds import VitMatteOptions
from factory.matting.networks.network import MattingNetwork, normalised
from factory.matting.networks.vitmatte_folder import CONFIG, PREPROCESSOR, colours_of
from factory.models.part import load_part
from factory.shards.durable import write_durably, write_json

PATCH = 16  # pixels across


@dataclass(frozen=True, slots=True)
class Size:
    """What differs between networks of this kind. Of `blocks` equal parts of its layers the last sees the whole."""

    hidden: int
    layers: int
    heads: int
    blocks: int
    side: int  # of pictures that positions are learned for; other sizes interpolate them
    window: int  # patches across that the other layers see
    stream: tuple[int, ...] = (48, 96, 192)
    fusion: tuple[int, ...] = (256, 128, 64, 32)


SIZES = {
    "tiny": Size(64, 4, 2, 2, 128, 4, stream=(12, 24, 48), fusion=(48, 32, 16, 12)),
    "small": Size(384, 12, 6, 4, 512, 14),  # the authors' two
    "base": Size(768, 12, 12, 4, 512, 14),
}


class VitMatte(MattingNetwork):
    """A network of transformers. Its α is in 0..1, for a sigmoid comes last."""

    multiple = 32

    def __init__(self, model: VitMatteForImageMatting, colours: Colours = IMAGENET) -> None:
        super().__init__()
        self.model, self.colours = model, colours

    def forward(self, image: Tensor, trimap: Tensor) -> Tensor:
        """As every network's."""
        alpha: Tensor = self.model(pixel_values=normalised(image, trimap, self.colours)).alphas
        return alpha

    def write_configuration(self, folder: Path) -> None:
        """What transformers reads beside the weights, and which colours its image processor shall take off."""
        self.model.config.architectures = [type(self.model).__name__]
        write_durably(folder / CONFIG, self.model.config.to_json_string(use_diff=False).encode())
        mean, std = (list(values) for values in self.colours)
        processor = {"image_processor_type": "VitMatteImageProcessor", "image_mean": mean, "image_std": std}
        write_json(folder / PREPROCESSOR, {**processor, "do_normalize": True, "size_divisor": self.multiple})


def new(options: VitMatteOptions) -> VitMatte:
    """One that has learned nothing."""
    size = SIZES[options.size]
    part = size.layers // size.blocks
    ends = [last - 1 for last in range(part, size.layers + 1, part)]
    backbone = VitDetConfig(
        num_channels=4,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        image_size=size.side,
        pretrain_image_size=size.side,
        patch_size=PATCH,
        window_size=size.window,
        window_block_indices=[layer for layer in range(size.layers) if layer not in ends],
        residual_block_indices=ends,
        use_relative_position_embeddings=True,
        out_features=[f"stage{size.layers}"],
    )
    config = VitMatteConfig(
        backbone_config=backbone,
        hidden_size=size.hidden,
        convstream_hidden_sizes=list(size.stream),
        fusion_hidden_sizes=list(size.fusion),
    )
    model = VitMatteForImageMatting(config)
    for module in model.decoder.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.reset_parameters()  # as the authors begin; transformers' own is near 0, where hardly anything passes
    return VitMatte(model)


def load(folder: Path) -> VitMatte:
    """One of a folder that was looked at, in float32 whatever it was saved in.

    Raises UsageError where weights are missing or of another shape.
    """
    transformers.utils.logging.disable_progress_bar()  # a bar of its own would break our one live line
    return VitMatte(load_part(VitMatteForImageMatting, folder).float(), colours_of(folder))
