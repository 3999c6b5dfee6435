"""Who is there to be scraped: one module for each way to find out."""
