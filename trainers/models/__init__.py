"""Policies: a tiny model from config, or any causal language model in Hugging Face format."""
