"""The ways in: HTTP, the plain page, the command line, the worker, the hook. They translate, and decide nothing."""
