"""Launchers of sweeps: runs side by side on this machine, or as jobs of Slurm."""
