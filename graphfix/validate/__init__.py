"""The gate: whether a model compiles and runs where it is meant to, as far as this machine can tell."""
