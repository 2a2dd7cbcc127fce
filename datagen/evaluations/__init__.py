"""SFT data from recorded evaluations: Affine's index and result objects, read as they come."""
