"""The names that a U-Net's layers have in the original Stable Diffusion code (ldm), which many files go by."""

from typing import Any

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
AROUND = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def ldm_name(layer: str, layers_per_block: int) -> str | None:
    """A layer's name there, from its name in diffusers' `UNet2DConditionModel`; None for one that ldm has not.

    ldm counts all blocks in one row: input_blocks.{1 + (n + 1)·b + i} is the i-th of the n layers of down block b, the
    last of n + 1 its downsampler; output_blocks.{(n + 1)·b + i} the i-th of the n + 1 layers of up block b.
    """
    if layer in AROUND:
        return AROUND[layer]
    block, _, rest = layer.partition(".")
    if block == "mid_block":
        kind, number, inside = _split(rest)
        return f"middle_block.{2 * number if kind == 'resnets' else 1}.{_inside(kind, inside)}"
    if block not in ("down_blocks", "up_blocks"):
        return None
    down, (level, _, part) = block == "down_blocks", rest.partition(".")
    kind, number, inside = _split(part)
    first = int(level) * (layers_per_block + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers_per_block + 1}.0.op"
    if kind == "upsamplers":  # the last part of the last layer, behind its attention if it has one
        return f"output_blocks.{first + layers_per_block}.*.conv"
    row, at = ("input_blocks", first + 1 + number) if down else ("output_blocks", first + number)
    return f"{row}.{at}.{0 if kind == 'resnets' else 1}.{_inside(kind, inside)}"


def _split(part: str) -> tuple[str, int, str]:
    kind, number, inside = part.split(".", 2)
    return kind, int(number), inside


def _inside(kind: str, inside: str) -> str:
    return RESNET[inside] if kind == "resnets" else inside


def ldm_names(layers: list[str], config: Any) -> dict[str, str]:
    """By each layer's name in ldm its name in diffusers. config: the U-Net's, with `layers_per_block` of one number."""
    names = dict[str, str]()
    attended = {layer.rsplit(".attentions.", 1)[0] for layer in layers if ".attentions." in layer}
    for layer in layers:
        if (name := ldm_name(layer, config.layers_per_block)) is not None:
            names[name.replace("*", "2" if layer.split(".upsamplers.")[0] in attended else "1")] = layer
    return names
