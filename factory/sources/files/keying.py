"""One keyed picture on a pure screen: what stills and frames of clips share once screen and plate are known."""

from collections.abc import Mapping
from typing import Any

from factory.errors import DataError
from factory.greenscreen.compositing import as_levels
from factory.greenscreen.keyer.clean_plate import Floats, Picture16, plate_at
from factory.greenscreen.keyer.frame import key_frame
from factory.greenscreen.keyer.screen import Screen
from factory.greenscreen.keyer.settings import KeyerSettings
from factory.greenscreen.keyer.shadow import shadow_apart
from factory.sample import EDITED, GENERATED, Origin, Request, Sample
from factory.sources.files.framing import cut_sides
from factory.sources.files.on_screen import FramingSettings, painted

SHADOW = "shadow"  # the layer's name


def origin_of(
    item: Mapping[str, Any], owner: Mapping[str, Any], source: str, *, painted_by: str, colour: str = ""
) -> Origin:
    """Where a keyed sample comes from.

    item: path, class_name and caption of the picture or frame.  owner: licence and attribution of its file.
    painted_by: the model that painted it; "" for what a camera saw.  colour: how a video's colours were read.
    """
    return Origin(
        kind="keyed",
        class_name=str(item["class_name"]),
        caption=str(item["caption"]),
        source=source,
        item=str(item["path"]),
        colour=colour,
        licence=str(owner["licence"]),
        attribution=str(owner["attribution"]),
        foreground="unmixed",
        model=painted_by,
        ai_generated=bool(painted_by),
        digital_source_type=GENERATED if painted_by else EDITED,
    )


def keyed(
    request: Request,
    origin: Origin,
    picture: Floats,
    plate: Picture16,
    screen: Screen,
    *,
    settings: KeyerSettings,
    framing: FramingSettings,
    halved: bool = False,
    pose: int | None = None,
    shadows: bool = False,
) -> Sample:
    """picture: (H, W, 3) in 0..1.  halved: see `key_frame`.  pose: see `painted`.
    shadows: whether the shadow on the screen is told apart from the object, as a layer.

    DataError kinds: no_screen, empty (nothing stands before the screen), cut (only where it is framed).
    """
    behind = plate_at(plate, *picture.shape[:2])
    found = key_frame(picture, behind, screen, settings, halved=halved)
    layers, opacity = {}, found.alpha
    if shadows:
        shadow, opacity = shadow_apart(picture, behind, opacity, screen.noise / 255)
        layers = {SHADOW: as_levels(shadow)}
    alpha, foreground = as_levels(opacity), as_levels(found.foreground)
    if not alpha.any():
        raise DataError("empty", "the picture shows nothing but its screen")
    return painted(
        request,
        origin,
        foreground,
        alpha,
        framing,
        flush=cut_sides(alpha),
        pose=pose,
        filmed=screen.colour,
        layers=layers,
    )
