"""How series went over many runs, and when they shifted."""
