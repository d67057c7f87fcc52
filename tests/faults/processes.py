# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session that is treated badly, as one process; prints what happened as JSON."""

import json
import os
import resource
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import hyperspy_dosekin
from hyperspy_dosekin import data


def series(**options):
    """Areas of a simulated series."""
    return data.dose_series(processed=True, **options).integrate_windows()


def doses(each, **options):
    """Half-integrity doses of a series, as numbers."""
    options = {"estimator": "exact", "intervals": False, "show_progressbar": False, **options}
    found = each.fit_dose_pinn(**options)
    return found.half_integrity_dose.data.tolist()


def forked(work, seconds=300):
    """Do something in a child; what it returned, or how it ended."""
    reader, writer = os.pipe()
    number = os.fork()
    if not number:
        signal.alarm(seconds)
        try:
            said = work()
        except BaseException as error:
            said = type(error).__name__
        os.write(writer, json.dumps(said).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    _, status = os.waitpid(number, 0)
    return json.loads(text) if text else f"ended with {os.waitstatus_to_exitcode(status)}"


def with_little_memory():
    """Fit a map with little more memory than the process has already."""
    areas = data.dose_series_image(0, shape=(8, 8), processed=True).integrate_windows()
    # That of the larger map would have another shape.
    areas.set_noise_variance(None)
    # Each pixel by itself: the noise of all pixels is that of other ones in the larger map.
    expected = doses(areas, noise="relative")
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**25, used + 2**25))
    larger = np.tile(areas.data, (5, 5, 1, 1))
    found = doses(areas._deepcopy_with_new_data(larger), noise="relative")
    return bool(np.isclose(found[0][0][0], expected[0][0][0], rtol=1e-6))


def interrupted(seconds):
    """Ctrl-C so long after the start of a classification."""
    # A shell starts what it runs in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    spectra, references = data.annealing_series(shape=(3, 9, 8)), data.reference_spectra()
    heard = threading.Event()

    def press():
        # Python ignores one in fifty, those that come while a weak reference is let go.
        while not heard.is_set():
            os.kill(os.getpid(), signal.SIGINT)
            heard.wait(30.0)

    timer = threading.Timer(seconds, press)
    timer.start()
    endless = {"steps": 20_000, "patience": None, "network": True}
    found = spectra.classify_vae(references, show_progressbar=False, **endless)
    heard.set()
    return found.class_map.data.shape == (3, 9, 8)


def main(folder):
    """Do all of it."""
    warnings.simplefilter("ignore")
    each = series()
    expected = doses(each)
    found = {"optimised": not __debug__, "isolated": bool(sys.flags.isolated)}
    found["home"] = os.environ.get("HOME")
    with ThreadPoolExecutor(4) as pool:
        found["threads"] = all(one == expected for one in pool.map(doses, [each] * 8))
    found["fork"] = forked(lambda: doses(each)) == expected
    result = each.fit_dose_pinn(estimator="exact", show_progressbar=False)
    result.save(f"{folder}/result.hspy")
    again = hyperspy_dosekin.load(f"{folder}/result.hspy")
    found["file"] = again.half_integrity_dose.data.tolist() == expected
    found["figure"] = bool(result.plot().axes)
    found["memory"] = forked(with_little_memory)
    found["interrupted"] = [forked(lambda s=s: interrupted(s)) for s in (0.0, 0.2, 2.0)]
    found["alive"] = doses(each) == expected
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
