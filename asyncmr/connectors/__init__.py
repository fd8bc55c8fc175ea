"""Where data comes from and goes to. Each file is one source or sink on the protocols of `asyncmr.protocols`."""
