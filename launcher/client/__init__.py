"""Those who submit entries and ask queries."""
