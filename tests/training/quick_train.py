"""The train command, evaluated on few examples, for processes of their own.

python -m tests.training.quick_train --recipe digits_nl --workdir run
"""

import sys

from training import train
from training.data import generated
from training.io import cli

if __name__ == "__main__":
    generated.EVAL_BLOCKS = 1  # as in tests/training/conftest.py
    sys.exit(cli.run(train.main))
