"""What the bytes depend on besides the plan: versions of the libraries and what the processor can do."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

import cv2

PACKAGES = (
    *("torch", "diffusers", "transformers", "numpy", "opencv-python-headless", "pillow", "pyarrow"),
    *("av", "pymatting", "numba"),
)
CPU_FEATURES = {"AVX512": 256, "AVX2": 11, "SSE4.2": 7, "NEON": 100}  # OpenCV's cv::CpuFeatures, widest first


@cache
def software() -> MappingProxyType[str, str]:
    """Package → version, and the widest vector unit. Nothing heavy is imported to find out."""
    from factory import __version__  # noqa: PLC0415  (the package's own root)

    found = {"factory": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = ""
    found["cpu"] = next((name for name, flag in CPU_FEATURES.items() if cv2.checkHardwareSupport(flag)), "baseline")
    return MappingProxyType(found)
