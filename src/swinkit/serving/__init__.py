"""The HTTP server and its web page. Empty until it is built."""
