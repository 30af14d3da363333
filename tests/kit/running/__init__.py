"""Processes, jobs and parts: started, followed, stopped."""
