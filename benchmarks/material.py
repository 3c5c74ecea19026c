"""Pictures, mattes and clips that tests and figures take where they are there: the folder that FACTORY_DATA names."""

import os
from pathlib import Path

DATA = Path(os.environ.get("FACTORY_DATA") or Path(__file__).resolve().parents[1] / "data").absolute()
