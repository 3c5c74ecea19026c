"""The pipeline of diffusers that begins with given pictures, with the networks of one that paints from text."""

from typing import TYPE_CHECKING, Any

from factory.diffusion.given.pictures import GivenBatch
from factory.diffusion.given.settings import Given, check_steps_taken
from factory.diffusion.sizes import Size
from factory.errors import UsageError

if TYPE_CHECKING:
    from factory.diffusion.plain.pipeline import PlainPipeline

PICTURE, MASK, STRENGTH = "image", "mask_image", "strength"  # their arguments


def check_sibling(pipeline: str, given: Given) -> None:
    """Raises UsageError where diffusers has none for such a pipeline, or none that takes a strength."""
    import inspect  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    known = import_module("diffusers.pipelines.auto_pipeline")  # seconds; only where pictures are given
    tasks = {kind.__name__: task for task, kind in known.AUTO_TEXT2IMAGE_PIPELINES_MAPPING.items()}
    siblings = known.AUTO_INPAINT_PIPELINES_MAPPING if given.mask else known.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING
    sibling = siblings.get(tasks.get(pipeline))
    takes = {PICTURE, STRENGTH, *([MASK] if given.mask else [])}
    if sibling is None or not takes <= inspect.signature(sibling.__call__).parameters.keys():
        what = "inpainting" if given.mask else "image-to-image"
        raise UsageError(f"--given: diffusers has no {what} with a strength for {pipeline}: take another model.")


def sibling_of(pipeline: Any, given: Given) -> Any:
    """It, of the same networks. Raises UsageError where they are not all that it needs."""
    from diffusers import AutoPipelineForImage2Image, AutoPipelineForInpainting  # noqa: PLC0415

    kind = AutoPipelineForInpainting if given.mask else AutoPipelineForImage2Image
    try:
        return kind.from_pipe(pipeline, add_watermarker=False)  # ignored by those that never add one
    except ValueError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"--given: no sibling of {type(pipeline).__name__} can be made ({reason}).") from error


def check_given(painter: "PlainPipeline", given: Given, size: Size, steps: int) -> None:
    """Raises UsageError for a size that the pipeline would change, and a strength that leaves no step."""
    processor = getattr(painter.pipeline, "image_processor", None)  # Kandinsky's and IF's have none
    multiple = processor.config.vae_scale_factor if processor else 1
    if any(side % multiple for side in size):
        raise UsageError(f"sampler.size {size} does not fit this model: take a multiple of {multiple}.")
    if steps > 0:
        check_steps_taken(given, steps)


def arguments_of(given: GivenBatch) -> dict[str, Any]:
    """What a sibling is called with beside the prompts."""
    from PIL import Image  # noqa: PLC0415

    arguments: dict[str, Any] = {PICTURE: [Image.fromarray(one) for one in given.pictures], STRENGTH: given.strength}
    if given.masks is not None:
        arguments[MASK] = [Image.fromarray(one.astype("uint8") * 255) for one in given.masks]
    return arguments
