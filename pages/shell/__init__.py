"""What all pages share: the navigation guard, run picker, URL state, cached reading, cards and canvas
components.
"""
