"""What tests of pages share, with a browser and without."""
