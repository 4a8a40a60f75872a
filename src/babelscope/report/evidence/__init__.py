"""What stands behind the answers: an analysis each, with its sentences, figures and tables, shown on demand."""
