"""Diffusion processes: each module holds one system's forward process, objective and sampler."""
