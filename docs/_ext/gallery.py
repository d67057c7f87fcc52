# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the gallery, and what is put back between its examples."""

# A reader meets the main job first, then doubtful results, then maps, classification and the rest.
# Examples that are not in this list come last, by name.
ORDER = (
    "plot_paper_trajectories",
    "plot_not_identifiable",
    "plot_wrong_law",
    "plot_windows",
    "plot_processing_steps",
    "plot_real_line_scan",
    "plot_paper_diagnostics",
    "plot_half_integrity_map",
    "plot_diffraction_spots",
    "plot_own_law",
    "plot_annealing",
    "plot_annealing_latent",
    "plot_unknown_phase",
    "plot_live_loop",
    "plot_lazy_distributed",
    "plot_with_exspy",
)


class Order:
    """Key by which sphinx-gallery sorts file names."""

    def __init__(self, src_dir=None):
        self.src_dir = src_dir

    def __call__(self, filename):
        """(place in the list, name)."""
        stem = filename.rsplit(".", 1)[0]
        return (ORDER.index(stem) if stem in ORDER else len(ORDER), filename)

    def __repr__(self):
        """The same in every build, so that Sphinx does not think the settings have changed."""
        return "<Order>"


def reset(gallery_conf, fname):
    """Close the figures, which HyperSpy's windows hold, and let go of what is behind them."""
    import gc

    import hyperspy.api as hs
    import matplotlib.pyplot as plt

    # Progress bars would be hundreds of lines on a page.
    hs.preferences.General.show_progressbar = False
    plt.close("all")
    gc.collect()
