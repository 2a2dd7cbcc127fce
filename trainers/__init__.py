"""Torch lives here: models, rollouts, losses, SFT, GRPO, evaluation and checkpoints."""
