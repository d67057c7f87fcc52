# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a test waits before it calls something hung, in seconds.

No test asserts how long a thing takes: on a machine with other work it would fail. Speed is
measured in ``benchmarks/``.
"""

#: For a process of its own: ten times what the longest takes on an idle machine.
PROCESS = 1500
#: For something that happens at once, or not at all.
EVENT = 120
