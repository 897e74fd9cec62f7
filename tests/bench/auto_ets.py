"""AutoETS of statsforecast, timed in a process of its own: `python auto_ets.py SERIES.npy HORIZON SEASON`.

Imports nothing of this project, so that it also runs with the Python of an environment that holds statsforecast alone
(statsforecast 2.1 wants an older pandas than the engine has). Prints one JSON object. SERIES.npy is [series, periods].
"""

import importlib
import importlib.metadata
import json
import resource
import sys
import time

import numpy as np

LEVEL = 80


def main() -> None:
    """Measure and print; exit code 3 where statsforecast is not installed."""
    path, horizon, season = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        AutoETS = importlib.import_module("statsforecast.models").AutoETS
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    series = np.load(path)
    # Compiled and warm before the clock runs.
    AutoETS(season_length=season).forecast(y=series[0], h=horizon, level=[LEVEL])
    begun = time.perf_counter()
    for one in series:
        found = AutoETS(season_length=season).forecast(y=one[~np.isnan(one)], h=horizon, level=[LEVEL])
        if not np.isfinite(found["mean"]).all():
            raise ValueError("AutoETS forecast something that is no number")
    print(
        json.dumps(
            {
                "series": len(series),
                "seconds": time.perf_counter() - begun,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "version": importlib.metadata.version("statsforecast"),
            }
        )
    )


if __name__ == "__main__":
    main()
