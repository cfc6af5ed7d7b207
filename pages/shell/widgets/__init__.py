"""What pages are composed of: cards, tables, canvases, choices."""
