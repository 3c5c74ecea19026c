"""What a union ControlNet may be told its picture is: xinsir's numbers, of which the last two came later (ProMax)."""

MODES = {
    "openpose": 0,
    "depth": 1,
    "scribble": 2,  # soft edges, HED and PiDiNet too
    "canny": 3,  # line art too
    "normal": 4,
    "segment": 5,
    "tile": 6,
    "repaint": 7,
}
OF_KINDS = {"pose": "openpose", "scribble": "scribble", "canny": "canny", "contour": "canny"}
