"""The HTTP service and its page: `deepmat serve`. Modules of this room need the extra `serve`."""
