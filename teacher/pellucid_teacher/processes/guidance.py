"""A denoised picture and a degraded one made one: the posterior mean under a Gaussian.

With p(x_0 | x_t) = N(x̂_0, r²) and y = G(x_0) + n, n ~ N(0, s²), the best estimate is

    argmin_x |y - G(x)|² / s² + |x - x̂_0|² / r² ,    r² = σ²·ς² / (σ² + ς²)

exact where pixels are Gaussians of standard deviation ς (ΠGDM, Song et al., ICLR 2023), and a
guidance without a scale to tune: it fades by itself where σ falls below the noise of y.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import grad

Degrade = Callable[[Tensor], Tensor]  # (1, 3, H, W) -> what is compared with y, of any shape


def prior_variance(sigma: float, spread: float) -> float:
    """r² of pixels whose standard deviation, given their surroundings, is `spread`."""
    return sigma**2 * spread**2 / (sigma**2 + spread**2)


def guided(degrade: Degrade, y: Tensor, clean: Tensor, ratio: float, iterations: int = 8) -> Tensor:
    """One Gauss-Newton step from x̂_0 = `clean`, by conjugate gradients, like `clean`.

    ratio: r² / s². iterations: exact after one where G is pointwise and even; a blur needs some.
    """
    with torch.enable_grad():
        x = clean.detach().requires_grad_()
        seen = degrade(x)
        probe = torch.zeros_like(seen, requires_grad=True)
        pulled = grad(seen, x, probe, create_graph=True)[0]  # Jᵀ·probe, whose derivative is J

    def normal(step: Tensor) -> Tensor:
        """(JᵀJ + s²/r²)·step."""
        pushed = grad(pulled, probe, step, retain_graph=True)[0]
        return grad(seen, x, pushed, retain_graph=True)[0] + step / ratio

    rest = grad(seen, x, y - seen.detach(), retain_graph=True)[0]
    step, along, power = torch.zeros_like(clean), rest, rest.square().sum()
    first = power
    for _ in range(iterations):
        if float(power) <= 1e-10 * float(first):
            break
        image = normal(along)
        length = power / (along * image).sum()
        step, rest = step + length * along, rest - length * image
        power, before = rest.square().sum(), power
        along = rest + power / before * along
    return clean + step
