"""What reports and evaluations share: words, pictures, plots and tables for people."""
