"""The red team: thieves who copy a classifier, and the defenses that they meet."""
