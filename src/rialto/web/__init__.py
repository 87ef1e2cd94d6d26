"""What a browser or a program gets over HTTP. The application starts it where `[web]` is configured."""
