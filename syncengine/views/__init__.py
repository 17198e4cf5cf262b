"""Plans and reports for people and machines; one file a format.  No view computes a number of its own."""
