"""Datasets made in blocks, by many workers, with the bytes that one process alone would write.

    build_in_blocks(config, folder, seed, run)

Every block of items is drawn without a look at the others; then the few problems that an earlier
item has taken are found by their marks, in the order in which splits and items claim, and drawn
again; at last each shard is written on its own. Blocks and shards are files of a work folder, so
that a call that was interrupted goes on where it stopped.
"""
