"""pellucid's students: small networks that restore in one to three steps."""
