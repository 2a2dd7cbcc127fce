"""The config of a small run, which tests read, override and spoil."""

CONFIG = """\
name: small
model: {type: tiny, hidden_size: 48, max_position_embeddings: 320}
datasets:
  main:
    type: sat
    style: compact
    sizes: [{n: 4, m: 12}]
    splits: {train: 100, test: {num_problems: 10}}
stages:
  - type: sft
    dataset: main
    max_steps: 10
    learning_rate: 1e-3
  - type: grpo
    dataset: main
    max_steps: 30
evaluation: {dataset: main}
"""
