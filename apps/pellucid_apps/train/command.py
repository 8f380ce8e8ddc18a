"""`pellucid train`: needs the `train` extra (torch).

Stop a training at any time; the same command goes on from its last checkpoint.
"""

import typer

from .ablate import ablate
from .estimator import estimator
from .plan import plan
from .router import router
from .student import student
from .teacher import teacher

app = typer.Typer(help="Train students and teachers.", no_args_is_help=True, rich_markup_mode=None)
for command in (ablate, student, teacher, estimator, router, plan):
    app.command()(command)
