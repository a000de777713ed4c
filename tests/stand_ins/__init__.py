"""Small servers that speak a media server's protocol over real HTTP, and can be told to fail."""
