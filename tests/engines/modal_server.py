"""A server that Modal's client takes for Modal: as much of its protocol as runs functions, in processes on this machine.

    python -m tests.engines.modal_server SOCKET

A container is a process that is handed a function and arguments in bytes, as there. What is not needed for that is refused
as unimplemented. Images are not built: that is the edge of what can be tried without an account.
"""

import asyncio
import os
import struct
import sys
from collections.abc import Awaitable, Callable
from hashlib import md5
from importlib import import_module
from typing import Any

CONTAINERS = 2
FOREVER = 55.0
LARGE = 2 * 1024 * 1024  # bytes; what is larger goes by way of blobs

CONTAINER = """
import os, pickle, struct, sys
channel = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)

def frame():
    size = sys.stdin.buffer.read(8)
    return sys.stdin.buffer.read(struct.unpack("<Q", size)[0]) if size else sys.exit()

while True:
    function, call = pickle.loads(frame()), pickle.loads(frame())
    data = pickle.dumps(function(*call[0], **call[1]))
    channel.write(struct.pack("<Q", len(data)) + data)
    channel.flush()
"""

P: Any = import_module("modal_proto.api_pb2")
grpc: Any = import_module("modal_proto.api_grpc")
grpclib: Any = import_module("grpclib")
web: Any = import_module("aiohttp.web")
Empty: Any = import_module("google.protobuf.empty_pb2").Empty


class Container:
    """A process that runs one call at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls) -> "Container":
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-c", CONTAINER]
        return cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 20))

    async def run(self, function: bytes, call: bytes) -> Any:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            for data in (function, call):
                stdin.write(struct.pack("<Q", len(data)) + data)
            await stdin.drain()
            (size,) = struct.unpack("<Q", await stdout.readexactly(8))
            data = await stdout.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            status = await self.process.wait()
            failed = P.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE
            return P.GenericResult(status=failed, exception=f"the container ended with status {status}")
        done = P.GenericResult.GENERIC_STATUS_SUCCESS
        if len(data) <= LARGE:
            return P.GenericResult(status=done, data=data)
        name = f"bl-{len(blobs.data)}"
        blobs.data[name] = data
        return P.GenericResult(status=done, data_blob_id=name)


class Blobs:
    """What is too large for a message: it is put and fetched by HTTP."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.address = ""

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.add_routes([web.put("/{name}", self.put), web.get("/{name}", self.get)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        self.address = f"http://{host}:{port}"

    async def put(self, request: Any) -> Any:
        data = self.data[request.match_info["name"]] = await request.read()
        return web.Response(headers={"ETag": f'"{md5(data).hexdigest()}"'})

    async def get(self, request: Any) -> Any:
        return web.Response(body=self.data[request.match_info["name"]])

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


blobs = Blobs()


class Calls:
    """The functions and calls of one app."""

    def __init__(self) -> None:
        self.functions: dict[str, bytes] = {}
        self.calls: dict[str, asyncio.Task[Any]] = {}
        self.idle: asyncio.Queue[Container | None] = asyncio.Queue()
        for _ in range(CONTAINERS):
            self.idle.put_nowait(None)

    def begin(self, function: str, args: bytes) -> str:
        name = f"fc-{len(self.calls)}"
        self.calls[name] = asyncio.create_task(self._run(self.functions[function], args))
        return name

    async def _run(self, function: bytes, args: bytes) -> Any:
        container = await self.idle.get()
        try:
            if container is None or container.process.returncode is not None:
                container = await Container.start()
            return await container.run(function, args)
        except asyncio.CancelledError:
            assert container is not None
            container.process.kill()
            await container.process.wait()
            return P.GenericResult(status=P.GenericResult.GENERIC_STATUS_TERMINATED, exception="cancelled")
        finally:
            self.idle.put_nowait(container)


calls = Calls()


async def blob_create(request: Any) -> Any:
    name = f"bl-{len(blobs.data)}"
    blobs.data[name] = b""
    return P.BlobCreateResponse(blob_ids=[name], upload_urls=P.UploadUrlList(items=[blobs.url(name)]))


async def blob_get(request: Any) -> Any:
    return P.BlobGetResponse(download_url=blobs.url(request.blob_id))


async def client_hello(request: Any) -> Any:
    return P.ClientHelloResponse()


async def environment_get_or_create(request: Any) -> Any:
    settings = P.EnvironmentSettings(image_builder_version="2025.06")
    metadata = P.EnvironmentMetadata(name="main", settings=settings)
    return P.EnvironmentGetOrCreateResponse(environment_id="en-1", metadata=metadata)


async def app_create(request: Any) -> Any:
    if request.description == "refused":
        raise grpclib.GRPCError(grpclib.Status.PERMISSION_DENIED, "this workspace may not run apps")
    return P.AppCreateResponse(app_id="ap-1")


async def nothing(request: Any) -> Any:
    return Empty()


async def app_publish(request: Any) -> Any:
    return P.AppPublishResponse(url="")


async def image_get_or_create(request: Any) -> Any:
    done = P.GenericResult(status=P.GenericResult.GENERIC_STATUS_SUCCESS)
    return P.ImageGetOrCreateResponse(image_id="im-1", result=done, metadata=P.ImageMetadata())


async def mount_get_or_create(request: Any) -> Any:
    return P.MountGetOrCreateResponse(mount_id="mo-1", handle_metadata=P.MountHandleMetadata())


def _told() -> Any:
    formats = [P.DATA_FORMAT_PICKLE]
    return P.FunctionHandleMetadata(
        function_name="weft",
        function_type=P.Function.FUNCTION_TYPE_FUNCTION,
        supported_input_formats=formats,
        supported_output_formats=formats,
    )


async def function_precreate(request: Any) -> Any:
    return P.FunctionPrecreateResponse(function_id="fu-1", handle_metadata=_told())


async def function_create(request: Any) -> Any:
    calls.functions["fu-1"] = request.function.function_serialized
    data = P.FunctionData(ranked_functions=[P.FunctionData.RankedFunction(function=request.function)])
    return P.FunctionCreateResponse(function_id="fu-1", handle_metadata=_told(), function_data=data)


async def function_map(request: Any) -> Any:
    (item,) = request.pipelined_inputs
    name = calls.begin(request.function_id, item.input.args or blobs.data[item.input.args_blob_id])
    taken = P.FunctionPutInputsResponseItem(idx=0, input_id=f"in-{name}")
    return P.FunctionMapResponse(function_call_id=name, pipelined_inputs=[taken])


async def function_get_outputs(request: Any) -> Any:
    call = calls.calls[request.function_call_id]
    await asyncio.wait([call], timeout=min(request.timeout, FOREVER))
    if not call.done():
        return P.FunctionGetOutputsResponse(last_entry_id="0-0", num_unfinished_inputs=1)
    result = P.GenericResult(status=P.GenericResult.GENERIC_STATUS_TERMINATED, exception="cancelled")
    if not call.cancelled():
        result = call.result()
    output = P.FunctionGetOutputsItem(result=result, idx=0, data_format=P.DATA_FORMAT_PICKLE)
    return P.FunctionGetOutputsResponse(outputs=[output], last_entry_id="1-0")


async def function_call_cancel(request: Any) -> Any:
    calls.calls[request.function_call_id].cancel()
    return Empty()


METHODS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "AppClientDisconnect": nothing,
    "AppCreate": app_create,
    "AppHeartbeat": nothing,
    "AppPublish": app_publish,
    "BlobCreate": blob_create,
    "BlobGet": blob_get,
    "ClientHello": client_hello,
    "EnvironmentGetOrCreate": environment_get_or_create,
    "FunctionCallCancel": function_call_cancel,
    "FunctionCreate": function_create,
    "FunctionGetOutputs": function_get_outputs,
    "FunctionMap": function_map,
    "FunctionPrecreate": function_precreate,
    "ImageGetOrCreate": image_get_or_create,
    "MountGetOrCreate": mount_get_or_create,
}


def _method(name: str) -> Any:
    async def method(self: object, stream: Any) -> None:
        request = await stream.recv_message()
        if name not in METHODS:
            raise grpclib.GRPCError(grpclib.Status.UNIMPLEMENTED, name)
        await stream.send_message(await METHODS[name](request))

    return method


async def main(path: str) -> None:
    base = grpc.ModalClientBase
    servicer = type("Servicer", (base,), {name: _method(name) for name in base.__abstractmethods__})()
    server = import_module("grpclib.server").Server([servicer])
    await blobs.start()
    await server.start(path=path)
    os.write(1, b"up\n")
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
