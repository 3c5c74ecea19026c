"""An object on a screen of one of five types, as its camera saw it, with the truth."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args
from zlib import crc32

import numpy as np
from numpy.random import default_rng

from factory.greenscreen.colours import Colour
from factory.greenscreen.compositing import as_levels
from factory.sample import Matte, Picture
from factory.sources.greenbench.camera import FRAMES, h264, painter, phone, sensor
from factory.sources.greenbench.registry import Kind
from factory.sources.greenbench.sheet import Drawn
from factory.sources.greenbench.stage import Hue, Light, painted, pure, studio

ScreenType: TypeAlias = Literal["pure", "studio", "h264", "phone", "generated"]
SCREENS: tuple[ScreenType, ...] = get_args(ScreenType)
GENERATED: ScreenType = "generated"
PAINTER, VAE = "painter", "vae"  # told of a generated scene that is yet to go through the embedded model's VAE
EMBEDDED = 0.5  # share of the generated scenes on green that do; it knows its own pure screen alone
MIRRORING = ("glass", "reflections")  # kinds whose own colour cannot be told from what they show of the screen
BLUE, LIME = 0.12, 0.2  # bounds of an object's number (0..1) below which its screens are blue, then lime


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture and its truth.

    key: mean colour of the clean screen.  told: screen and camera in words, in order.
    """

    picture: Picture
    alpha: Matte
    foreground: Picture
    plate: Picture
    key: Colour
    told: dict[str, str]


def hue_of(kind: Kind, seed: int) -> Hue:
    """The screens' hue of an object: mostly green. What has green of its own always stands before green."""
    number = default_rng([seed, crc32(b"hue")]).random()
    if kind == "own green":
        return "green"
    return "blue" if number < BLUE else "lime" if number < LIME else "green"


def scene(drawn: Drawn, screen: ScreenType, hue: Hue, seed: int, *, emits: bool = False) -> Scene:
    """The object on the screen. A pure function of its arguments.

    h264 is the very stage of studio, filmed again; a telephone sees another one. Of the generated ones some have the
    texture of a large model's VAE; others (PAINTER: VAE) are still to go through the embedded one.  emits: see
    stage.studio.
    """
    set_up = default_rng([seed, crc32(b"phone" if screen == "phone" else b"studio")])
    random = default_rng([seed, crc32(screen.encode())])
    if screen == "pure":
        stage = pure(drawn, hue)
        picture = as_levels(stage.picture())
        return _scene(picture, drawn.alpha, stage.foreground, stage.plate, stage.told)
    if screen == GENERATED and hue == "green" and random.random() < EMBEDDED:
        stage = pure(drawn, hue)
        told = {PAINTER: VAE}
        return _scene(as_levels(stage.picture()), drawn.alpha, stage.foreground, stage.plate, told)
    if screen == GENERATED:
        stage = painted(drawn, hue, random)
        ringing, noise = random.uniform(0.1, 0.4), random.uniform(0.5, 1.5)
        picture = painter(stage.picture(), ringing, noise, random)
        told = {PAINTER: "texture"} | stage.told | {"ringing": f"{ringing:.2f}", "noise": f"{noise:.1f}"}
        return _scene(picture, drawn.alpha, stage.foreground, stage.plate, told)
    stage = studio(drawn, hue, set_up, emits=emits)
    light = stage.picture()
    if screen == "phone":
        gains = random.uniform(0.86, 1.0, 3).astype(np.float32)
        noise, smear = random.uniform(2.0, 5.0), random.uniform(8, 22)
        sharpening, quality = random.uniform(0.3, 1.1), int(random.integers(70, 93))
        picture = phone(sensor(light * gains, noise, random), smear, sharpening, quality)
        told = {"noise": f"{noise:.1f}", "sharpening": f"{sharpening:.2f}", "quality": str(quality)}
        return _scene(picture, drawn.alpha, stage.foreground * gains, stage.plate * gains, stage.told | told)
    noise = set_up.uniform(1.2, 3.2)
    if screen == "studio":
        picture = sensor(light, noise, random)
        return _scene(picture, drawn.alpha, stage.foreground, stage.plate, stage.told | {"noise": f"{noise:.1f}"})
    crf = int(random.integers(19, 28))
    picture = h264([sensor(light, noise, random) for _ in range(FRAMES)], crf)
    told = stage.told | {"noise": f"{noise:.1f}", "crf": str(crf)}
    return _scene(picture, drawn.alpha, stage.foreground, stage.plate, told)


def _scene(picture: Picture, alpha: Matte, foreground: Light, plate: Light, told: dict[str, str]) -> Scene:
    r, g, b = (round(255 * float(c)) for c in plate.mean(axis=(0, 1)))
    return Scene(picture, alpha, as_levels(foreground), as_levels(plate), (r, g, b), told)
