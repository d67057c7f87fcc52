# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Closing the loop: classes while the beam is on
==============================================

A trained classifier reads frames as a detector gives them and answers before the next
one comes. Here the detector is simulated, at 400 and at 10 000 spectra a second, and
what it sees changes: under the beam a fluoride turns into an oxide. The loop lowers
the beam current when half of the fluoride is gone. `Hollenbach et al.
<https://doi.org/10.1038/s41598-024-66902-4>`_ ask for such a loop.
"""

# %%
# A classifier
# ------------
# Trained once, beforehand, on an annealing series and reference spectra of its
# phases.

import time

import matplotlib.pyplot as plt
import numpy as np

import hyperspy_dosekin

s = hyperspy_dosekin.data.annealing_series(shape=(8, 12, 10))
references = hyperspy_dosekin.data.reference_spectra()
vae = hyperspy_dosekin.DualVAE(prior="uniform")
vae.fit(s, references, show_progressbar=False)

# %%
# ``compile`` measures the runtimes that are installed and takes the fastest. Torch is
# always there; onnxruntime and OpenVINO come with ``pip install
# "hyperspy_dosekin[realtime]"``.

live = vae.compile(batch_sizes=(25, 1))
print(live.report)

# %%
# A detector
# ----------
# Its beam current can be set, and its specimen suffers from the dose: the share of
# fluoride decays, and oxide takes its place. Spectra are pixels of the series, of the
# class that the specimen has where the beam is. Now and then a readout fails, and a
# spectrum is NaN.

label = s.metadata.Simulation.label
pixels = {name: s.data[label == k] for k, name in enumerate(live.names)}


class Detector:
    def __init__(self, rate, frame_size, seconds):
        self.interval, self.frame_size = frame_size / rate, frame_size
        self.seconds, self.current, self.truth = seconds, 1.0, []

    def frames(self):
        rng, dose = np.random.default_rng(0), 0.0
        start = last = time.perf_counter()
        for number in range(round(self.seconds / self.interval)):
            due = start + number * self.interval
            time.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            dose += self.current * (now - last) / self.seconds
            last = now
            self.truth.append(np.exp(-4 * dose))
            fluoride = rng.random(self.frame_size) < self.truth[-1]
            chosen = [pixels["fluoride" if here else "oxide"] for here in fluoride]
            frame = np.stack([rows[rng.integers(len(rows))] for rows in chosen])
            if number % 50 == 49:
                frame[0] = np.nan
            yield frame


# %%
# The loop
# --------
# ``on_frame`` is called with everything about a frame, ``feedback`` with its class
# fractions alone. This one averages over about a hundred spectra, and acts once.


class Controller:
    def __init__(self, detector):
        self.detector, self.known, self.acted, self.seen = detector, 1.0, None, []
        self.weight = min(1.0, detector.frame_size / 100)

    def on_frame(self, frame):
        if frame.none < frame.labels.size:
            self.known += self.weight * (frame.fractions["fluoride"] - self.known)
        if self.acted is None and self.known < 0.5:
            self.detector.current, self.acted = 0.05, frame.index
        self.seen.append((frame.index, self.known))


# %%
# ``policy="newest"``, the default, never lets frames queue up: what is old is dropped
# and counted. ``energy_axis`` is compared with that of the model beforehand.

runs = {}
for rate, frame_size in ((400, 1), (10_000, 25)):
    detector = Detector(rate, frame_size, seconds=3.0)
    controller = Controller(detector)
    stream = live.classify_stream(
        detector.frames(),
        energy_axis=s.axes_manager[-1],
        on_frame=controller.on_frame,
    )
    print(f"{rate} spectra/s in frames of {frame_size}\n{stream.run()}\n")
    runs[rate] = detector, controller, stream

# %%
# What happened
# -------------
# Left: the true share of fluoride, and what the loop knew of it. At 400 spectra/s a
# hundred of them take a quarter of a second, and the loop is late by as much; at 10
# 000 it is not. Classifying a frame takes a fraction of a millisecond in both. Right:
# the time from the arrival of a frame to its classes.

figure = plt.figure(figsize=(9.5, 6.5), layout="constrained")
parts = figure.subfigures(2, 2, width_ratios=(1, 1.05))
for (left, right), (rate, run) in zip(parts, runs.items(), strict=True):
    detector, controller, stream = run
    seconds = np.arange(len(detector.truth)) * detector.interval
    number, known = np.transpose(controller.seen)
    axes = left.subplots()
    axes.plot(seconds, np.exp(-4 * seconds / 3), "--", c="0.6", label="without loop")
    axes.plot(number * detector.interval, known, c="#56B4E9", label="as seen")
    axes.plot(seconds, detector.truth, c="black", label="truth")
    if controller.acted is not None:
        acted = controller.acted * detector.interval
        axes.axvline(acted, c="#D55E00", ls="-.", label="beam lowered")
    axes.set(xlabel="Time (s)", ylabel="Share of fluoride", ylim=(0, 1.05))
    axes.set_title(f"{rate} spectra/s")
    axes.legend()
    stream.plot(fig=right)
