"""Work that lasts as long as the process: supervised tasks, and files that are followed."""
