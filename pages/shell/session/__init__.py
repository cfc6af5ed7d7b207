"""What a browser session remembers: the run, the cursor, choices and pins; and cached reading of runs."""
