"""Work that several machines do: handed over by files, pulled by workers of Slurm or Dask."""
