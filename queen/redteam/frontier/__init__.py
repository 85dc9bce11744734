"""The frontier: what a crossing policy leaves a thief, against what honest accounts pay."""
