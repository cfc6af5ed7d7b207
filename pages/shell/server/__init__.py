"""What the server does beside pages: jobs, which hosts it answers to, what it loads before it listens."""
