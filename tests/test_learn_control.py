"""Whether benchmarks/learn_control.py makes what `factory generate --control` takes, by one step of it."""

from pathlib import Path

from control_shapes import has_outline, held_out
from drawn_objects import drawn_objects
from learn_control import learn

import factory
from factory.diffusion.control.fitting import CONTROLNET, check_fit, network_in
from factory.diffusion.model_files import EMBEDDED


def test_what_was_learnt_is_a_control_network_of_the_embedded_model(tmp_path: Path) -> None:
    learn(drawn_objects(tmp_path / "objects", 16, 1), tmp_path / "controlnet", 1)
    kind, config = network_in(tmp_path / "controlnet", "--control")
    check_fit("--control", kind, config, EMBEDDED)
    assert kind == CONTROLNET


def test_shapes_to_paint_into_are_of_other_objects_and_have_outlines(tmp_path: Path) -> None:
    learnt = {sample.alpha.tobytes() for sample in factory.open(drawn_objects(tmp_path / "learnt", 8, 1))}
    shapes = list(held_out(tmp_path / "held out", 8, 2))
    assert len({shape.caption for shape in shapes}) == 8
    assert all(has_outline(shape.matte) and shape.matte.tobytes() not in learnt for shape in shapes)
