"""Credentials other than keys: tokens and client certificates, and names that look alike."""
