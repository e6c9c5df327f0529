"""Mines real bugs from histories: one-place fixes that undo one injection operator."""
