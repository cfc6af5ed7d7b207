"""Active probes: what the network does when a neuron is replaced, an input is damaged, or its own predictions
are fed back.

They take any callable (see `probes.experiments.subject`), so that they know nothing of how a network is
built, and store what they find with the run (`probes.experiments.store`), where it is shown without running
again.
"""
