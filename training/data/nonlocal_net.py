"""Lists of video-nonlocal-net, the code that came with the paper.

`trainlist.txt` and `vallist.txt` have a path and a label per line;
`classids.json` has the labels, with names that contain a space in quotes.

    /data/val_256/petting_cat/0wR5jVB-WPk.mp4 213
    {"abseiling": 0, "\\"petting cat\\"": 213}

    --set dataset=nonlocal_net --set data.train=trainlist.txt \\
        --set data.validation=vallist.txt --set data.classes=classids.json

Relative paths in lists are relative to `data.root`. Formats as in its
DATASET.md and process_data/kinetics.
"""

from .datasets import register_dataset
from .slowfast import SlowFast


@register_dataset("nonlocal_net")
class NonlocalNet(SlowFast):
    description = "Kinetics with the lists of video-nonlocal-net"
