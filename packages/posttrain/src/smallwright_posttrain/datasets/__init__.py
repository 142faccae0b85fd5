"""Small chat and preference sets of our own making, and the script that makes them."""
