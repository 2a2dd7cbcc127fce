"""Named, versioned, immutable datasets: a folder of them, each with a manifest and its rows.

keys       what a dataset is called
config     what a dataset is built of
opening    sources: dataset folders, JSONL of traces, other versions
choosing   filters, duplicates and selection, in a stream
build      writes a version, whole or not at all
versions   finds and reads versions; verify, diff and lineage stand beside it
"""
