"""The language server: what an editor shows of codemlm while its user types.

``server`` holds the state, ``handlers`` answers messages, ``analysis`` decides what is scanned
when; documents, diagnostics, actions and hovers are conversions without state. The scanning itself
is ``codemlm.session``.
"""
