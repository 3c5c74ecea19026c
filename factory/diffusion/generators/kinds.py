"""The kinds of generators there are; the first that fits a folder paints with it."""

from pathlib import Path

from factory.diffusion.generators.callables import CALLABLE
from factory.diffusion.generators.checkpoint import CHECKPOINT
from factory.diffusion.generators.diffumatting import DIFFUMATTING
from factory.diffusion.generators.headed import HEADED
from factory.diffusion.generators.kind import GeneratorKind
from factory.diffusion.generators.layers import LAYERS
from factory.diffusion.generators.plain import PLAIN
from factory.diffusion.generators.rgba import RGBA
from factory.diffusion.model_files import INDEX
from factory.errors import UsageError
from factory.models.other_inputs import other_input

KINDS = (CHECKPOINT, HEADED, DIFFUMATTING, RGBA, PLAIN)
BY_NAME = {kind.name: kind for kind in (*KINDS, CALLABLE, LAYERS)}


def kind_of(folder: Path) -> GeneratorKind:
    """The kind of a model folder or file, checked. Raises UsageError for one of none, which says what it is."""
    if not (folder / INDEX).is_file() and (other := other_input(folder)):
        raise UsageError(f"{folder} is {other}, and no model by itself.")
    for kind in KINDS:
        if kind.fits(folder):
            kind.check(folder)
            return kind
    raise UsageError(f"{folder} is not a model folder: there is no {INDEX} in it; give one that diffusers saved")
