"""Shards of a few videos that the command writes."""

from training import shards

OPTIONS = (
    "--dataset=made",
    "--short-side=24",
    "--shard-videos=2",
    "--max-frames=10",
    "--set=data.max_bad_share=0.5",
)


def make(root, out, *options):
    """Write shards of the videos below `root`."""
    shards.main([*OPTIONS, f"--set=data.root={root}", f"--out={out}", *options])


def content(out):
    """Return all visible files and their bytes."""
    return {
        path.name: path.read_bytes()
        for path in sorted(out.iterdir())
        if not path.name.startswith(".")
    }
