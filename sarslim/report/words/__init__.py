"""What the pages say, page by page, as plain text."""
