"""What each section of the report shows, taken from the result: one file a section, each with ``section(result)``."""
