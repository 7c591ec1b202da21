"""What `bench/run` is made of. Needs Python's standard library and nothing else."""
