"""Which layer and which factor a key of an adapter's file names: every program has names of its own.

A key is a layer and a factor. Layers are looked up among those that the model has, so nothing is guessed: a name that
fits none stays unused, and is said.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import nn

from factory.diffusion.ldm_names import ldm_names
from factory.diffusion.lora import flux_names

DENOISERS = ("unet", "transformer")
TEXT_ENCODERS = ("text_encoder", "text_encoder_2")
PREFIXES = {  # of kohya's and LyCORIS's names, in which every dot of the layer's is an underscore
    "lora_unet_": DENOISERS,
    "lora_transformer_": DENOISERS,
    "lora_te_": TEXT_ENCODERS[:1],
    "lora_te1_": TEXT_ENCODERS[:1],
    "lora_te2_": TEXT_ENCODERS[1:],
    "lora_te3_": TEXT_ENCODERS[1:],  # Flux's T5, which kohya's scripts count as Stable Diffusion 3's
    "lycoris_": DENOISERS,
}
PARTS = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".down.weight": "down",
    ".up.weight": "up",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector.default.weight": "magnitude",
    ".alpha": "alpha",
    ".scalar": "scalar",
    ".dora_scale": "dora_scale",
    **{
        f".{name}": name
        for name in (
            *(f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
            *(f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
        )
    },
}
PROJECTIONS = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
OF_A_BLOCK = (  # the order in which cloneofsimo's files count, in a U-Net's block …
    *(f"attn1.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")),
    "ff.net.0.proj",
    *(f"attn2.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")),
)
OF_A_TEXT_LAYER = ("k_proj", "v_proj", "q_proj", "out_proj")  # … and in a text encoder's layer
BLOCKS = ("down_blocks", "up_blocks", "mid_block")  # counted in this order


class Layer(NamedTuple):
    """A layer of a model: in which of its parts, and its name there.

    below: further layers that a file holds as one with it, their rows below its own.
    turned: whether the file has the lower half of the rows above the upper one.
    """

    part: str
    name: str
    below: tuple[str, ...] = ()
    turned: bool = False


class Known:
    """The layers that a model has, by all names under which files know them."""

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        """parts: the model's, by diffusers' names for them; what is no text encoder is what denoises."""
        self.dotted = dict[str, Layer]()
        self.flat = dict[tuple[str, str], Layer]()  # by the part and the name with underscores
        self.counted = dict[str, Layer]()
        for part, module in parts.items():
            layers = [name for name, layer in module.named_modules() if _weighs(layer)]
            self._name(part, {bare(name): Layer(part, name) for name in layers})
            if part == "unet" and isinstance(getattr(module.config, "layers_per_block", None), int):
                names = ldm_names(layers, module.config)
                self._name(part, {name: Layer(part, own) for name, own in names.items()})
            if type(module).__name__ == flux_names.CLASS:
                stacked = flux_names.flux_names(layers)
                self._name(part, {name: Layer(part, own[0], own[1:]) for name, own in stacked.items()})
                turned = {name: own for name, own in flux_names.TURNED.items() if own in layers}
                self._name(part, {name: Layer(part, own, turned=True) for name, own in turned.items()})
            ordered = _unet_order(layers) if part in DENOISERS else _text_order(layers)
            self.counted |= {f"{part}:{number}": Layer(part, name) for number, name in enumerate(ordered)}

    def _name(self, part: str, layers: Mapping[str, Layer]) -> None:
        for name, layer in layers.items():
            self.dotted[f"{part}.{name}"] = self.flat[part, name.replace(".", "_")] = layer

    def split(self, key: str) -> tuple[Layer, str] | None:
        """The layer and the factor, see PARTS, that a key names; None where this model has no such layer."""
        if key.endswith((":up", ":down")):
            layer = self.counted.get(key.rpartition(":")[0])
            return (layer, key.rpartition(":")[2]) if layer else None
        for ending in sorted(PARTS, key=len, reverse=True):
            if key.endswith(ending) and (layer := self._layer(key.removesuffix(ending))):
                return layer, PARTS[ending]
        return None

    def _layer(self, name: str) -> Layer | None:
        name = name.removeprefix("base_model.model.").removeprefix("diffusion_model.")
        for prefix, parts in PREFIXES.items():
            if name.startswith(prefix):
                flat = bare(name.removeprefix(prefix), "_")
                return next((self.flat[part, flat] for part in parts if (part, flat) in self.flat), None)
        part, _, inside = name.partition(".")
        if part in (*DENOISERS, *TEXT_ENCODERS):
            return self.dotted.get(f"{part}.{_of_processors(part, bare(inside))}")
        found = (self.dotted.get(f"{part}.{_of_processors(part, name)}") for part in DENOISERS)
        return next((layer for layer in found if layer), None)


def _weighs(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear | nn.Conv2d)


def bare(name: str, dot: str = ".") -> str:
    """A layer's name without a beginning that files have, and text encoders under transformers 5 have not."""
    return name.removeprefix(f"text_model{dot}")


def _of_processors(part: str, name: str) -> str:
    """As old versions of diffusers name layers: attn1.processor.to_q_lora for attn1.to_q."""
    if not name.endswith("_lora"):
        return name
    block, _, projection = name.removesuffix("_lora").replace(".processor.", ".").rpartition(".")
    if part in TEXT_ENCODERS:
        return f"{block}.{PROJECTIONS.get(projection, projection)}"
    return f"{block}.to_out.0" if projection == "to_out" else f"{block}.{projection}"


def _unet_order(layers: Iterable[str]) -> list[str]:
    there, blocks = set(layers), dict[str, None]()
    for side in BLOCKS:
        blocks |= {
            name.rpartition(".attn1.to_q")[0]: None
            for name in layers
            if name.startswith(side) and ".attn1.to_q" in name
        }
    return [name for block in blocks for of_it in OF_A_BLOCK if (name := f"{block}.{of_it}") in there]


def _text_order(layers: Iterable[str]) -> list[str]:
    blocks = [name.removesuffix("k_proj") for name in layers if name.endswith("self_attn.k_proj")]
    return [f"{block}{of_it}" for block in blocks for of_it in OF_A_TEXT_LAYER]
