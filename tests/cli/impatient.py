"""nbops as it is, but for its patience: a lost connection is given up after one second.

`python -m tests.cli.impatient ARGUMENTS…`
"""

from __future__ import annotations

import sys

from nbops.transport.pool import Pool

if __name__ == "__main__":
    from nbops.cli.main import main

    defaults = Pool.__init__.__kwdefaults__
    assert defaults["reconnect"] > 1
    defaults["reconnect"] = 1.0
    sys.argv[0] = "nbops"
    main()
