"""log.jsonl: the losses of a training, a line now and then, and their curves as a picture."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from factory.shards.durable import fsync, write_durably

PANEL_WIDTH, PANEL_HEIGHT, MARGIN = 900, 220, 60
VALIDATION = "validation"  # the name of records of what is measured beside the losses
INK, PAPER, LINE = (40, 40, 40), 255, (190, 90, 20)  # BGR


def append_log(log: Path, record: dict[str, Any]) -> None:
    """One JSON line."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    fsync(log)  # a state that is saved later must not know steps that the log lacks


def read_log(log: Path) -> list[dict[str, Any]]:
    """All whole lines; a torn last one is left out."""
    if not log.is_file():
        return []
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def rewind_log(log: Path, phase: int, step: int) -> None:
    """Drop what an interrupted run logged after the state it resumes from."""
    kept = [record for record in read_log(log) if (record["phase"], record["step"]) <= (phase, step)]
    write_durably(log, "".join(json.dumps(record) + "\n" for record in kept).encode())


def draw_curves(log: Path, picture: Path) -> None:
    """One panel for each loss of each phase: raw values pale, their running mean dark, logarithmic height."""
    series: dict[str, list[tuple[int, float]]] = {}
    for record in read_log(log):
        for name, value in record["losses"].items():
            series.setdefault(f"{record['phase']} {record['name']}: {name}", []).append((record["step"], value))
    panels = [panel(name, np.asarray(points)) for name, points in series.items() if len(points) > 1]
    if panels:
        cv2.imwrite(str(picture), np.concatenate(panels))


def panel(name: str, points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Points (n, 2): step, loss. Returns a (PANEL_HEIGHT, PANEL_WIDTH, 3) BGR picture."""
    canvas = np.full((PANEL_HEIGHT, PANEL_WIDTH, 3), PAPER, np.uint8)
    steps, values = points[:, 0], np.log10(np.maximum(points[:, 1], 1e-8))
    low, high = values.min(), max(values.max(), values.min() + 1e-3)
    x = MARGIN + (steps - steps[0]) / max(steps[-1] - steps[0], 1) * (PANEL_WIDTH - 2 * MARGIN)
    window = max(1, len(values) // 50)
    smooth = np.convolve(np.pad(values, (window - 1, 0), mode="edge"), np.ones(window) / window, mode="valid")
    for curve, colour, thickness in ((values, (225, 205, 190), 1), (smooth, LINE, 2)):
        y = PANEL_HEIGHT - 35 - (curve - low) / (high - low) * (PANEL_HEIGHT - 75)
        line = np.stack([x, y], axis=1).round().astype(np.int32)
        cv2.polylines(canvas, [line], False, colour, thickness, cv2.LINE_AA)
    last = 10 ** smooth[-1]
    label = f"{name}   {10**high:.4g} to {10**low:.4g}, now {last:.4g}, steps {int(steps[0])} to {int(steps[-1])}"
    cv2.putText(canvas, label, (MARGIN, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return canvas
