"""Every figure of this folder, one script after another: `python benchmarks`. Exit 1 where one misses what it must."""

import subprocess
import sys
from pathlib import Path

NO_BENCHMARKS = {
    *("__main__.py", "figures.py", "keyer_numbers.py", "keyer_sheet.py", "layer_faults.py"),
    *("control_shapes.py", "drawn_objects.py", "learning.py"),  # they are parts of others
    *("greenbench_sheet.py", "labels_sheet.py"),
    *("simulated_crew.py", "simulated_ray.py"),
    *("edge_examples.py", "learn_edges.py"),  # they train the keyer's networks
    *("labels.py", "learn_bgmv2.py"),  # they work on sets that are made first
    *("earlier_keyer.py", "ffmpeg_keys.py", "label_rows.py", "real_screens.py"),  # what labels.py is made of
    "adapter_screens.py",  # it is about adapters that one names
    *("fuzz.py", "fuzz_mutations.py", "fuzz_readers.py"),  # a figure that takes an hour
    *("tables.py", "worth.py"),  # they train for hours
    *("cpu_memory.py", "train_memory.py"),  # they want 4.3 and 25 GB of disk
    *("moving_stills.py", "video_matting.py"),  # they need a trained network
    *("gpu_product.py", "gpu_rows.py", "on_gpu.py"),  # they need a GPU
}


def main() -> int:
    """Run all scripts with their defaults, also after one that missed."""
    missed = []
    for script in sorted(Path(__file__).parent.glob("*.py")):
        if script.name not in NO_BENCHMARKS:
            print(f"== {script.name}", flush=True)
            if subprocess.run([sys.executable, str(script)], check=False).returncode:
                missed.append(script.name)
    print(f"missed: {', '.join(missed)}" if missed else "all reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
