"""Questions to recorded runs: their neurons, groups and forecasts. Numbers and words, no pictures."""
