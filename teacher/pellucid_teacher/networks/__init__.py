"""Teacher networks. Each follows the `Denoiser` contract and knows nothing of a process."""
