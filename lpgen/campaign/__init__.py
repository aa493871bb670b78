"""Many runs: one suite over several processes."""
