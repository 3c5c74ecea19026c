"""What it costs the embedded model's mattes that guidance is off in the late steps: same seeds, one attempt a slot.

    python benchmarks/guidance_until.py [--n 200] [--until 0.8 0.6] [--out runs/guidance_until]

Beside guidance in all steps, for each share of them: mean |Δα| of the samples that both sets have, the attempts that
gates accept, their mean GSG, and processor time. There is no peer: it says what the option is worth.
"""

import argparse
import time
from pathlib import Path

from embedded_model import mean_gsg
from plain_door import acceptance, difference

from factory.jobs.generate import GenerateRecipe
from factory.run.execute import execute
from factory.shards.layout import Layout
from factory.shards.manifest import read_manifest


def main() -> None:
    """Paint the sets, compare each with the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--until", type=float, nargs="*", default=[0.8, 0.6])
    parser.add_argument("--out", type=Path, default=Path("runs/guidance_until"))
    arguments = parser.parse_args()
    whole = arguments.out / "1"
    for until in [1.0, *arguments.until]:
        out = arguments.out / f"{until:g}"
        began = time.process_time()
        execute(
            GenerateRecipe(
                out=out, n=arguments.n, max_attempts=1, sampler={"guidance_until": until}, executor="local", threads=1
            )
        )
        seconds = time.process_time() - began
        apart, common = difference(whole, out)
        gsg = mean_gsg(read_manifest(Layout(out), ["gsg"]).to_pylist())
        print(
            f"until {until:g}: {apart:.2f} levels of alpha apart over {common} samples; {acceptance(out):.3f} of "
            f"{arguments.n} attempts accepted, mean GSG {gsg:.2f}; {seconds:.0f} s of processor time"
        )


if __name__ == "__main__":
    main()
