"""pellucid's commands. The runtime alone is enough to restore, evaluate and run the demo."""
