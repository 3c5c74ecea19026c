"""Masks from cross-attention, as DiffuMask makes them, against the matting head and GreenPost, where α is known.

    python benchmarks/attention_masks.py [--model FOLDER] [--seed 0] [--n 100]

Objects with exact α are composited on the pure screen: emoji whose names hold a class that the model knows, and its own
drawn ones. Attention is read as on real pictures: the composite's code is noised to four timesteps and goes through the
U-Net with "green screen, a CLASS". The head reads the same code without noise. A DiffuMask mask is cut at the level at
which it begins; at both of its scores of background; and, what no AffinityNet could better, at the level of .35 to .54
that fits the truth best, chosen anew for each picture. There is no CRF.

MSE × 1000 and IoU at α ≥ 0.5 are of whole pictures, at the model's size. Ours is held against the best in hindsight; a
spread is the standard deviation over objects of the paired difference, ÷ √n.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from figures import exit_code, shown
from material import DATA
from numpy.typing import NDArray

from factory.diffusion.attention_mask import attention_mask, background_scores, object_map
from factory.diffusion.matting_head import decode_with_features
from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.sample.attention import object_attention
from factory.diffusion.sample.pipeline import DiffuMattingPipeline, to_bytes
from factory.diffusion.sizes import Size
from factory.diffusion.vocabulary import read_vocabulary, screen_prompt
from factory.errors import DataError
from factory.greenscreen.colours import KEY_COLOURS
from factory.greenscreen.compositing import paint_on_screen
from factory.greenscreen.framing import framed
from factory.pictures.picture import decode_layers
from factory.refine.greenpost import GreenPostSettings, green_post
from factory.sample import GENERATED, Matte, Origin, Picture, Request, Sample
from factory.sources.procedural.source import ProceduralObjects, ProceduralSettings

TIMESTEPS = (100, 300, 500, 700)
HINDSIGHT = np.arange(0.35, 0.545, 0.01)  # among which DiffuMask's last step chooses
MARGIN = 0.1
OURS, THEIRS = "head + GreenPost", "attention, best in hindsight"


class Scene(NamedTuple):
    """A composite (H, W, 3), its true α (H, W), and the object's name."""

    picture: Picture
    alpha: Matte
    name: str


def main() -> int:
    """Measure both kinds of objects."""
    parser = argparse.ArgumentParser(description="masks from attention against the head's and GreenPost's")
    parser.add_argument("--model", type=Path, default=EMBEDDED, help="model folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=100, help="objects of each kind")
    arguments = parser.parse_args()
    pipeline = DiffuMattingPipeline.from_folder(arguments.model)
    side = int(pipeline.components.unet.config.sample_size) * pipeline.vae_factor
    kinds = {"drawn objects": list(drawn(side, arguments.n))}
    if DATA.is_dir():
        kinds["emoji"] = list(emoji(DATA / "rgba_fluent_emoji_3d", known(arguments.model), side))[: arguments.n]
    reached = [compared(kind, pipeline, scenes, arguments.seed) for kind, scenes in kinds.items()]
    return exit_code(*(each for pair in reached for each in pair))


def known(model: Path) -> tuple[str, ...]:
    """The classes that the model was taught."""
    vocabulary = read_vocabulary(model)
    return vocabulary.classes if vocabulary else ()


def drawn(side: int, n: int) -> Iterator[Scene]:
    """Objects of the model's own kind, which it has not seen."""
    source = ProceduralObjects(ProceduralSettings(size=side))
    requests = [Request(key="0", slot=slot, attempt=0, seed=10_000_019 + slot, item={}) for slot in range(n)]
    for sample in source(requests):
        if isinstance(sample, Sample) and sample.alpha is not None:
            yield Scene(sample.rgb, sample.alpha, sample.origin.class_name)


def emoji(folder: Path, classes: tuple[str, ...], side: int) -> Iterator[Scene]:
    """Emoji in whose name a known class stands, the longest that does."""
    for path in sorted(folder.iterdir()):
        words = f" {path.stem.replace('_', ' ')} "
        named = max((name for name in classes if f" {name} " in words), key=len, default="")
        colour, alpha = decode_layers(path.read_bytes())
        if named and alpha is not None:
            foreground, matte = framed(colour, alpha, side, MARGIN)
            yield Scene(paint_on_screen(foreground, matte, KEY_COLOURS["green"]), matte, named)


def compared(kind: str, pipeline: DiffuMattingPipeline, scenes: list[Scene], seed: int) -> tuple[bool, bool]:
    """A line for each kind of mask, and the figures."""
    found = [masks(pipeline, scene, seed + index) for index, scene in enumerate(scenes)]
    errors = {name: np.array([mse(m[name], s.alpha) for m, s in zip(found, scenes, strict=True)]) for name in found[0]}
    overlaps = {name: np.array([iou(m[name], s.alpha) for m, s in zip(found, scenes, strict=True)]) for name in errors}
    print(f"{kind}: {len(scenes)}")
    for name, own in errors.items():
        print(f"  {name:28} MSE × 1000 {own.mean():7.2f}   IoU {overlaps[name].mean():.3f}")
    gain, spread = paired(errors[THEIRS] - errors[OURS])
    more, wide = paired(overlaps[OURS] - overlaps[THEIRS])
    return (
        shown(f"{kind}, MSE that attention has more", f"{gain:.2f}", f"spread {spread:.2f}", gain / spread, 2),
        shown(f"{kind}, IoU that GreenPost has more", f"{more:.3f}", f"spread {wide:.3f}", more / wide, 2),
    )


@torch.inference_mode()
def masks(pipeline: DiffuMattingPipeline, scene: Scene, seed: int) -> Mapping[str, Matte]:
    """Each way's mask of one picture."""
    vae, side = pipeline.components.vae, Size(*scene.alpha.shape)
    pixels = torch.from_numpy(scene.picture)[None].permute(0, 3, 1, 2).float() / 127.5 - 1
    code = vae.encode(pixels).latent_dist.mode()
    _, features = decode_with_features(vae, code)
    head = to_bytes(pipeline.components.head(features))[0, 0].numpy()
    cam = attention(pipeline, code * vae.config.scaling_factor, scene.name, seed, side)
    cuts = {f"attention, {name}": binary(cam, score) for name, score in background_scores(cam).items()}
    best = max((binary(cam, level) for level in HINDSIGHT), key=lambda mask: iou(mask, scene.alpha))
    own = attention_mask(cam)
    return {
        "attention": own,
        **cuts,
        THEIRS: best,
        "attention + GreenPost": refined(scene, own),
        "head": head,
        OURS: refined(scene, head),
    }


def attention(
    pipeline: DiffuMattingPipeline, latent: torch.Tensor, name: str, seed: int, side: Size
) -> NDArray[np.float32]:
    """The object's map of a picture's code (1, 4, h, w), scaled."""
    prompt = screen_prompt(f"a {name}")
    told, bar = pipeline.texts([prompt]), pipeline.components.scheduler.alphas_cumprod
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed))
    with object_attention(pipeline.components.unet, [pipeline.objects_in(prompt, name)]) as seen:
        denoise = seen.watching(lambda z, t: pipeline.components.unet(z, t, told[0]).sample)
        for t in TIMESTEPS:
            denoise(bar[t].sqrt() * latent + (1 - bar[t]).sqrt() * noise, torch.tensor(t))
    return object_map(seen.layers(0, Size(*latent.shape[2:])), side)


def refined(scene: Scene, coarse: Matte) -> Matte:
    """GreenPost's matte of a coarse mask; the mask itself where it leaves no screen to be found."""
    origin = Origin(
        kind="generated", source="", licence="", key_rgb=KEY_COLOURS["green"], digital_source_type=GENERATED
    )
    sample = Sample(
        request=Request(key="0", slot=0, attempt=0, seed=0, item={}), rgb=scene.picture, coarse=coarse, origin=origin
    )
    try:
        alpha = green_post(sample, GreenPostSettings()).alpha
    except DataError:
        return coarse
    return coarse if alpha is None else alpha


def binary(cam: NDArray[np.float32], level: float) -> Matte:
    """255 above the level."""
    return np.where(cam > level, np.uint8(255), np.uint8(0))


def mse(mask: Matte, alpha: Matte) -> float:
    """× 1000, over the whole picture."""
    return float(np.square((mask.astype(np.float64) - alpha) / 255).mean()) * 1000


def iou(mask: Matte, alpha: Matte) -> float:
    """Of where both are at least one half."""
    one, other = mask >= 128, alpha >= 128
    return float((one & other).sum() / max((one | other).sum(), 1))


def paired(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Their mean and its spread."""
    return float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(len(differences)))


if __name__ == "__main__":
    sys.exit(main())
