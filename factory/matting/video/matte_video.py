"""`factory matte-video`: looks at the clip and at what shall tell its masks, then writes its mattes."""

from pathlib import Path
from typing import NamedTuple

from factory.errors import UsageError
from factory.matting.applying import matte
from factory.matting.networks.folder import load_network, look
from factory.matting.video.clip import Made, VideoMatting, inputs_hash, write_clip
from factory.matting.video.footage import open_footage
from factory.matting.video.masks import open_masks
from factory.matting.video.matting import Matting
from factory.matting.video.segmenting import fingerprint, open_segmenter
from factory.models.device import best_device
from factory.shards.counting import Counting, silent


class Masked(NamedTuple):
    """masks: a folder, or a video, of one mask for each frame."""

    masks: Path


class Segmented(NamedTuple):
    """segmenter: a folder with a segmentation model of transformers."""

    segmenter: Path


def matte_video(
    clip: Path,
    tells: Masked | Segmented,
    model: Path,
    out: Path,
    settings: VideoMatting,
    *,
    looked: Counting = silent,
    progress: Counting = silent,
) -> Made:
    """Matte a clip.

    clip: a video file, or a folder of pictures.  tells: what says where the object is.  model: a folder with a trained
    trimap network.  looked: is told of masks, before anything is computed; progress, of frames.
    Raises UsageError for whatever is wrong with any of them.
    """
    network, footage, device = look(model), open_footage(clip), best_device()
    if isinstance(tells, Masked):
        masks = open_masks(tells.masks, footage, _index(settings.wanted), looked)
        made_of = inputs_hash(settings, [clip, tells.masks], network.fingerprint)
    else:
        masks = open_segmenter(tells.segmenter, footage, settings.wanted or None, device)
        made_of = inputs_hash(settings, [clip], network.fingerprint, fingerprint(tells.segmenter))

    def loaded() -> Matting:
        trained = load_network(model, device.torch)
        return lambda picture, trimap: matte(trained, picture, trimap, device.torch)

    return write_clip(footage, masks, loaded, out, settings, made_of=made_of, progress=progress)


def _index(wanted: str) -> int | None:
    if wanted and not wanted.isdecimal():
        raise UsageError(f"--object {wanted}: with --masks give the index of an object, a whole number.")
    return int(wanted) if wanted else None
