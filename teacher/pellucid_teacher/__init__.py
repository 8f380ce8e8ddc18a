"""pellucid's teachers: diffusion processes, networks, degradations and training."""
