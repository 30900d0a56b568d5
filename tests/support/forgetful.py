"""A handler with a fault that Django's own tests must find."""

from project.direct import DirectASGIHandler


class ForgetfulHandler(DirectASGIHandler):
    """Reads a request's body only up to its first part."""

    async def read_body(self, receive):
        async def receive_first():
            return await receive() | {"more_body": False}

        return await super().read_body(receive_first)
