"""Training: one loop for teachers and students, with checkpoints, EMA and exact resume."""
