"""An emulated directory."""
