"""Where a job runs. `local` is this machine."""
