# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doorway to dask: blocks, their graph and where they run. Knows no HyperSpy."""
