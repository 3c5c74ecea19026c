"""Where a picture before a screen comes from: what stills and frames of clips say alike."""

from collections.abc import Mapping
from typing import Any

from factory.sample import EDITED, GENERATED, Origin


def origin_of(
    item: Mapping[str, Any], owner: Mapping[str, Any], source: str, *, painted_by: str, colour: str = ""
) -> Origin:
    """Where a sample that will be keyed comes from.

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
