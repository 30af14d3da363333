"""Layouts of public data sets and of any lab: recognised by content, told, and made a manifest.

One file for each layout; what they share is in :mod:`braindash.io.layouts.tree` (files of a
folder), :mod:`braindash.io.layouts.finding` (what is found) and
:mod:`braindash.io.layouts.bids_files` (names and tables of BIDS). Other packages bring layouts by
the entry point ``braindash.datasets``: :mod:`braindash.io.layouts.find`.
"""
