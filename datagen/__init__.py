"""Problem families with certified answers, and datasets on disk. No torch, no Ray."""
