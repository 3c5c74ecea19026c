"""A sample with another matte than GreenPost's: what the refiners share with which it is compared."""

from dataclasses import replace

import numpy as np

from factory.errors import DataError
from factory.greenscreen.compositing import as_unit
from factory.sample import Matte, Picture, Sample
from factory.trust import TRUST, as_trust


def with_matte(sample: Sample, alpha: Matte, foreground: Picture) -> Sample:
    """The sample with this α and F; where it had a matte with a trust map, no further trusted than that says otherwise.

    alpha: (H, W).  foreground: (H, W, 3), straight.  Raises DataError("empty") where α is 0 everywhere.
    """
    if not alpha.any():
        raise DataError("empty", "no pixel of the picture is taken for object")
    layers = dict(sample.layers)
    if TRUST in layers and sample.alpha is not None:
        layers[TRUST] = np.minimum(layers[TRUST], as_trust(np.abs(as_unit(alpha) - as_unit(sample.alpha))))
    soft = bool(((alpha > 0) & (alpha < 255)).any())
    origin = replace(sample.origin, foreground="estimated", soft_alpha=soft)
    return replace(sample, origin=origin, alpha=alpha, foreground=foreground, layers=layers)
