"""How well mistakes are found: injected ones, beside baselines, in code never trained on."""
