"""Clips before any background: ours against closed-form matting of each frame's own trimap.

    python benchmarks/video_matting.py NETWORK [--data DATA] [--clips 24] [--frames 8] [--size 256]

Clips are made of stills (moving_stills.py): photographs of alphamatting.com, and cut-outs held out by their names,
before Kodak's photographs. Masks are the truth's, as a segmentation network would leave them; in "spoilt" ones some
frames have lost theirs, or a piece. The peer is pymatting's closed-form matting (Levin et al., 2008) with a band about
each frame's own mask; it gets the width, of three, at which its own MSE is least. MSE and dtSSD are over whole frames.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from figures import exit_code, shown
from moving_stills import Film, Floats, cut_outs, film_of, mask_of, photographs, spoilt, still_of
from numpy.random import default_rng

from factory.engine.threads import pin_threads
from factory.greenscreen.compositing import as_levels, as_unit
from factory.matting.video.clip import NARROWEST, USUAL_BAND
from factory.matting.video.matting import matted
from factory.matting.video.trimaps import trimap_of
from factory.pictures.picture import decode_picture
from factory.quality.metrics import dtssd
from factory.sample import Matte, Picture

MUST = 0.8
WIDTHS = (1.0, 2.0, 3.0)  # of the peer's band, times ours
Numbers = dict[str, tuple[float, float]]


def closed_form(picture: Picture, trimap: Matte) -> Floats:
    """Levin, Lischinski, Weiss, "A closed-form solution to natural image matting", as pymatting solves it."""
    from pymatting import estimate_alpha_cf

    if len(np.unique(trimap)) < 3:  # it needs all three
        return as_unit(trimap)
    return np.asarray(estimate_alpha_cf(as_unit(picture).astype(np.float64), as_unit(trimap)), np.float32)


def network_in(folder: Path) -> Callable[[Picture, Matte], Floats]:
    """A trained network."""
    from factory.matting.applying import matte
    from factory.matting.networks.folder import load_network

    network = load_network(folder)
    return lambda picture, trimap: matte(network, picture, trimap)


def films(data: Path, clips: int, frames: int, side: int) -> Iterator[Film]:
    """Photographs first, then cut-outs of both kinds in turn."""
    stills = list(photographs(data / "alphamatting_odd", 2 * side))
    emoji, kenney = (
        filter(None, map(still_of, cut_outs(data / name))) for name in ("rgba_fluent_emoji_3d", "rgba_kenney_cc0")
    )
    stills += [still for pair in zip(islice(emoji, clips), islice(kenney, clips), strict=False) for still in pair]
    behind = sorted((data / "backgrounds" / "kodak24").glob("*.*"))
    for number, still in enumerate(stills[:clips]):
        background = decode_picture(behind[number % len(behind)].read_bytes())
        yield film_of(still, background, side, frames, number)


def alone(mask: Floats, band: float) -> Matte:
    """The trimap of a frame by its own mask."""
    return trimap_of(mask, [], band)


def measured(
    films_: Sequence[Film], masks: Sequence[Sequence[Floats]], make: Callable[..., list[Matte]]
) -> tuple[float, float]:
    """Mean MSE and dtSSD over the clips."""
    errors = []
    for film, of_film in zip(films_, masks, strict=True):
        found = make(film, of_film)
        mse = np.mean([np.square(as_unit(a) - as_unit(t)).mean() for a, t in zip(found, film.alphas, strict=True)])
        errors.append((float(mse), dtssd(found, film.alphas)))
    mean = np.mean(errors, axis=0)
    return float(mean[0]), float(mean[1])


def frame_by_frame(matting: Callable[[Picture, Matte], Floats], band: float) -> Callable[..., list[Matte]]:
    """Each frame by its own mask."""
    return lambda film, masks: [
        as_levels(matting(picture, alone(mask, band))) for picture, mask in zip(film.pictures, masks, strict=True)
    ]


def whole(matting: Callable[[Picture, Matte], Floats], band: float, **how: Any) -> Callable[..., list[Matte]]:
    """As `factory matte-video` does it."""
    return lambda film, masks: [
        frame.alpha for frame in matted(map(as_unit, film.pictures), masks, matting, band=band, **how)
    ]


def main() -> int:
    """Compare, with sound masks and with spoilt ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", type=Path, help="folder with a trained trimap network")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("FACTORY_DATA", "data")))
    for name, default in (("clips", 24), ("frames", 8), ("size", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    pin_threads(1)
    band = max(NARROWEST, USUAL_BAND.pixels((asked.size, asked.size)))
    made = list(films(asked.data, asked.clips, asked.frames, asked.size))
    sound = [[mask_of(a, default_rng([n, k])) for k, a in enumerate(f.alphas)] for n, f in enumerate(made)]
    bad = [[spoilt(m, default_rng([n, k, 1])) for k, m in enumerate(of_film)] for n, of_film in enumerate(sound)]
    network = network_in(asked.network)
    print(f"{len(made)} clips of {asked.frames} frames, {asked.size}², band {band:.1f}; MSE × 1000, dtSSD × 100")
    reached = []
    for kind, masks in (("sound masks", sound), ("spoilt masks", bad)):
        peers = {w: measured(made, masks, frame_by_frame(closed_form, w * band)) for w in WIDTHS}
        rows: Numbers = {f"closed form, band × {w:g}": numbers for w, numbers in peers.items()}
        rows["closed form, our trimaps"] = measured(made, masks, whole(closed_form, band, steady=False))
        rows["network, frame by frame"] = measured(made, masks, frame_by_frame(network, band))
        rows["network, our trimaps"] = measured(made, masks, whole(network, band, steady=False))
        rows["ours"] = ours = measured(made, masks, whole(network, band))
        for name, (mse, steps) in rows.items():
            print(f"{kind}: {name}: {1000 * mse:.2f} {100 * steps:.2f}", flush=True)
        peer = min(peers.values())
        for name, mine, its in zip(("MSE", "dtSSD"), ours, peer, strict=True):
            reached.append(shown(f"{kind}: {name}", f"{mine:.5f}", f"closed form {its:.5f}", its / mine, 1 / MUST))
    return exit_code(*reached)


if __name__ == "__main__":
    sys.exit(main())
