"""The names that a Flux transformer's layers have in Black Forest Labs' own code, which kohya's scripts go by.

There one weight does what several layers of diffusers do: its rows are theirs, one below the other.
"""

import re
from collections.abc import Iterable, Mapping

CLASS = "FluxTransformer2DModel"
DOUBLE, SINGLE = "transformer_blocks", "single_transformer_blocks"
OF_DOUBLE = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
}
OF_SINGLE = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
}
AROUND = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
TURNED = {"final_layer.adaLN_modulation.1": "norm_out.linear"}  # shift above scale there, scale above shift here


def flux_names(layers: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """By each name there, the layers of diffusers' `FluxTransformer2DModel` whose rows it holds. Without `TURNED`.

    Compare diffusers/loaders/lora_conversion_utils.py.
    """
    there = set(layers)
    names: dict[str, tuple[str, ...]] = {name: (own,) for name, own in AROUND.items()}
    for row, block, inside in (("double_blocks", DOUBLE, OF_DOUBLE), ("single_blocks", SINGLE, OF_SINGLE)):
        numbers = {found[1] for layer in there if (found := re.match(rf"{block}\.(\d+)\.", layer))}
        names |= {
            f"{row}.{number}.{name}": tuple(f"{block}.{number}.{part}" for part in parts)
            for number in sorted(numbers)
            for name, parts in inside.items()
        }
    return {name: own for name, own in names.items() if there.issuperset(own)}
