"""The text of web pages: main content, formulas as LaTeX, code and tables, out of HTML from anywhere."""
