"""What this machine offers, and what to do about what is missing."""

import os
import platform
import shutil
from pathlib import Path

from factory import __version__
from factory.diffusion import model_files
from factory.engine.software import software
from factory.errors import UsageError


def doctor_text() -> str:
    """What this machine offers, and what to do about what is missing."""
    import torch

    lines = [f"factory {__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"]
    lines += [f"  {name} {version or 'missing: pip install ' + name}" for name, version in software().items()]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines.append(f"  {os.cpu_count()} cores, {memory / 2**30:.0f} GiB memory")
    lines.append(f"  {shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB free in {Path.cwd()}")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            lines.append(f"  GPU {number}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    else:
        lines.append("  no GPU seen by torch: fine for the embedded model; big ones need one")
    try:
        model_files.check(model_files.EMBEDDED)
        lines.append(f"  embedded model {model_files.fingerprint(model_files.EMBEDDED)[:16]} is whole")
    except UsageError as error:
        lines.append(f"  embedded model: {error}")
    return "\n".join(lines)
