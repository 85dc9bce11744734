"""AdminService: operators read, reset, erase, export and import ledgers."""
