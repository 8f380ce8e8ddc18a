"""pellucid's exporters: from a student's weights to a file that proves itself."""
