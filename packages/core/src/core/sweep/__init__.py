"""Many runs: the same command line with differences, planned together, made one after another or by a launcher."""
