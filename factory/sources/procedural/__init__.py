"""Procedural objects: classes drawn by code, with exact coverage, for any seed and size."""

from factory.sources.procedural.palette import COLOURS
from factory.sources.procedural.render import CLASSES, VOCABULARY, Rendered, render
from factory.sources.procedural.source import ProceduralObjects, ProceduralSettings

__all__ = ["CLASSES", "COLOURS", "VOCABULARY", "ProceduralObjects", "ProceduralSettings", "Rendered", "render"]
