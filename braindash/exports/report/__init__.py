"""One self-contained HTML report of results: surfaces, curves, tables, methods, provenance."""
