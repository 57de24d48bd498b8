"""The status of a request that is not answered, in gRPC and in HTTP."""

import grpc

# TensorFlow numbers its errors as gRPC does.
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}

# TF Serving's own table (model_servers/http_server.cc), and 401, which is a gateway's; every other status is 500.
HTTP_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
}


class RefusedError(Exception):
    """A request with the status of its answer."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.http_status = HTTP_STATUSES.get(code, 500)
