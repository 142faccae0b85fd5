"""Executors of data recipes beyond one machine: Ray and Slurm, on DataTrove's own."""
