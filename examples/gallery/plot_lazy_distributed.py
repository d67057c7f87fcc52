# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
More data than memory: the lazy chain, and a cluster
====================================================

Counts, processing, window areas and kinetics of an image that is never in memory as a
whole. The numbers are the same as in memory, with threads or on a cluster.
"""

# %%
# A lazy signal
# -------------
# ``hs.load("big.zspy", lazy=True)`` gives one of your own. Here each chunk is
# simulated when it is asked for.

# sphinx_gallery_thumbnail_number = 1
import time

import dask
import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

kinetics = {"C–C": {"k": 2.5, "p": 1.2}, "C–O": {"k": 4.0, "p": 1.5}}
options = {
    "seed": 2,
    "shape": (30, 42),
    "kinetics": kinetics,
    "electrons": 3e7,
    "spike_rate": 0.1,
}
counts = hyperspy_dosekin.data.dose_series_image(
    **options, lazy=True, chunks=(9, 10, 14)
)
print(counts)
one_chunk = np.prod(counts.data.chunksize) * counts.data.itemsize
print(f"{counts.data.nbytes / 1e6:.0f} MB in chunks of {one_chunk / 1e6:.1f} MB")

# %%
# The chain
# ---------
# Lazy in, lazy out. ``process_low_loss`` looks at the zero-loss peaks when it is
# called: at all of them here, at a sample where there is more than 1 GiB, so that large
# data are read only once. From there on nothing is computed until it is asked for. All
# doses of a pixel are best kept in one chunk, as here: a fit needs them together.

start = time.perf_counter()
s = counts.process_low_loss()
areas = s.integrate_windows({"C–C": (4, 7), "C–O": (10, 15)})
result = areas.fit_dose_pinn(intervals=False)
print(result)
print(
    f"{time.perf_counter() - start:.1f} s so far, mostly for the first look at the data"
)

# %%
# One pass over the data computes all maps. A chunk is simulated or read, processed,
# integrated and fitted, and then forgotten; what stays is a dozen numbers for each
# pixel.

start = time.perf_counter()
result = result.compute()
threads = time.perf_counter() - start
print(f"{threads:.1f} s; {result.maps.fields.nbytes / 1e6:.1f} MB of results")

# %%
# The same on a cluster
# ---------------------
# With a ``dask.distributed`` client, whatever is computed goes to its workers:
# nothing else changes. This one has threads of this process, so that the example runs
# anywhere; ``Client("tcp://…")`` connects to a real cluster. Without the package
# ``distributed`` this part is left out.

again = areas.fit_dose_pinn(intervals=False)
try:
    from distributed import Client
except ImportError:
    Client = None
if Client is not None:
    with Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None
    ):
        again.compute()
else:
    with dask.config.set(scheduler="synchronous"):
        again.compute()

# %%
# The same numbers
# ----------------
# And the same as in memory, chunk borders included.

small = (slice(8, 24), slice(5, 19))  # x and y, across borders of chunks
in_memory = hyperspy_dosekin.data.dose_series_image(**options).process_low_loss()
direct = in_memory.inav[small[0], small[1]].integrate_windows(
    {"C–C": (4, 7), "C–O": (10, 15)}
)
direct = direct.fit_dose_pinn(intervals=False)


def difference(one, other):
    """Largest relative difference of D½."""
    return np.nanmax(np.abs(np.asarray(one) / np.asarray(other) - 1))


half = result.half_integrity_dose.data
part = half[(slice(None), *reversed(small))]
print("threads against cluster:", difference(again.half_integrity_dose.data, half))
print("lazy against in memory:", difference(part, direct.half_integrity_dose.data))

# %%
# The map of C–O, with the chunks that nobody sees in it, and D½ from both ways.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(9, 3.8), layout="constrained", width_ratios=[1.4, 1]
)
image = left.imshow(half[1], cmap="viridis", vmax=np.nanquantile(half[1], 0.99))
for border in np.cumsum(counts.data.chunks[1])[:-1]:
    left.axhline(border - 0.5, color="white", lw=0.8, ls=":")
for border in np.cumsum(counts.data.chunks[2])[:-1]:
    left.axvline(border - 0.5, color="white", lw=0.8, ls=":")
bar = figure.colorbar(image, ax=left, label="C–O: D½ (e⁻/Å²)", extend="max")
left.set(xlabel="x (pixel)", ylabel="y (pixel)", title="Lazy, dotted: chunks")
for window, (name, colour) in enumerate(
    zip(result.window_names, ("#D55E00", "#009E73"), strict=True)
):
    right.plot(
        direct.half_integrity_dose.data[window].ravel(),
        part[window].ravel(),
        ".",
        ms=4,
        color=colour,
        label=name,
    )
right.set(xlabel="D½ in memory (e⁻/Å²)", ylabel="D½ lazy (e⁻/Å²)")
legend = right.legend()

# %%
# Intervals and flags, left out here for speed, are lazy in the same way:
# ``fit_dose_pinn()`` without ``intervals=False``. A map without them is a map of best
# fits, and does not say where it can be believed
# (:ref:`sphx_glr_gallery_plot_half_integrity_map.py`).
