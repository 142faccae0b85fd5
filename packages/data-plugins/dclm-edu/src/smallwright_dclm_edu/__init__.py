"""The recipe DCLM-Edu: web text chosen by fastText and by an educational classifier."""
