"""Who hands photos to workers: this process, Ray or Dask. All give one row a photo."""

from pellucid import PellucidError

from .local import run_local
from .pool import Engine


def find_engine(name: str) -> Engine:
    """local, ray or dask. Raises PellucidError with the pip line if it is not installed."""
    if name == "local":
        return run_local
    try:
        if name == "ray":
            from .ray_data import run_ray

            return run_ray
        if name == "dask":
            from .dask_futures import run_dask

            return run_dask
    except ImportError as error:
        raise PellucidError(
            f"--engine {name} needs its package: pip install 'pellucid[{name}]' ({error})"
        ) from error
    raise PellucidError(f"--engine must be local, ray or dask, got {name!r}")
