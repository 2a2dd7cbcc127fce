"""The step itself: shared-prefix training, batched decoding and keyed sampling noise."""
