"""The keyer's foreground colours against PyMatting's `estimate_foreground_ml`, which is given the true α.

    python benchmarks/foreground.py

The scenes are those of `benchmarks/keyer.py`. The error is the mean absolute one over the pixels of true α between 0.02
and 0.98, against the object's colours before the screen's light fell on them: what spill is left counts as error.
"""

import sys
from collections import defaultdict

import cv2
import numpy as np
from figures import exit_code, shown
from keyer import PICTURES, key, scenes
from material import DATA

MUST = 1 / 0.8  # peer's error ÷ ours


def main() -> int:
    """Measure both on every scene."""
    if not DATA.is_dir():
        print(f"no pictures at {DATA}: set FACTORY_DATA to a folder with the test pictures; nothing measured")
        return 0
    from pymatting import estimate_foreground_ml

    cv2.setNumThreads(1)
    ours, theirs = defaultdict(list), defaultdict(list)
    for scene in scenes(PICTURES):
        band = (scene.alpha > 0.02) & (scene.alpha < 0.98)
        mine = key(scene.picture, halved=scene.screen == "h264")[1]
        peer = estimate_foreground_ml(scene.picture.astype(np.float64), scene.alpha.astype(np.float64))
        for found, errors in ((mine, ours), (peer, theirs)):
            errors[scene.screen].append(255 * float(np.abs(found - scene.foreground)[band].mean()))
        print(f"  {scene.screen:6} {scene.name:24} {ours[scene.screen][-1]:6.2f} of {theirs[scene.screen][-1]:6.2f}")
    reached = []
    for screen, errors in ours.items():
        mine, peer = np.mean(errors), np.mean(theirs[screen])
        reached.append(
            shown(f"foreground, {screen}", f"{mine:.2f} levels", f"PyMatting {peer:.2f}", float(peer / mine), MUST)
        )
    return exit_code(*reached)


if __name__ == "__main__":
    sys.exit(main())
