"""From a request to what will be computed: checked, keyed specifications, without torch."""
