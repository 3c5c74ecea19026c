"""Drawn objects of the embedded model's classes as a set, for learn_lora.py and learn_control.py."""

from pathlib import Path

from factory.diffusion.model_files import EMBEDDED
from factory.diffusion.vocabulary import read_vocabulary
from factory.jobs.build import BuildRecipe
from factory.run.execute import execute
from factory.sources.procedural.render import CLASSES

SIZE = 64  # pixels, the embedded model's


def drawn_objects(out: Path, count: int, seed: int) -> Path:
    """The set, made or gone on with. Another seed draws other objects."""
    known = read_vocabulary(EMBEDDED)
    assert known is not None
    source = {"type": "procedural", "n": count, "classes": [name for name in known.classes if name in CLASSES]}
    execute(
        BuildRecipe.model_validate({"out": out, "size": SIZE, "seed": seed, "sources": [source], "executor": "local"})
    )
    return out
