"""What the pages of results show: the finding, models side by side, probes."""
