# SPDX-License-Identifier: Apache-2.0
"""
Debian's AWS CLI, loaded once. A script makes a dozen calls and most of each is the interpreter
reading the same modules and models; here a process that has them forks for every call. What runs in
the child is the CLI's own main(), with the caller's arguments, environment, folder and descriptors.

    warm_aws.py serve SOCKET      in the background
    warm_aws.py SOCKET ARG...     what stands for "aws" in the PATH of the tests

Which version it is, the first question of every script, it does not ask again.
"""
import array
import os
import socket
import struct
import sys

# Before every request: how long it is. After the end: the exit status.
LENGTH = struct.Struct("!I")
SERVICES = "iam", "lambda", "sqs", "logs", "ec2", "sts", "ssm", "secretsmanager", "cloudwatch"


def receive(connection, size):
    octets = b""
    while len(octets) < size:
        more = connection.recv(size - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


def call(path, arguments):
    environment = ["%s=%s" % item for item in os.environ.items()]
    request = "\0".join([os.getcwd(), str(len(arguments)), *arguments, *environment])
    octets = request.encode("utf-8", "surrogateescape")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendmsg([LENGTH.pack(len(octets))],
                           [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
        connection.sendall(octets)
        return LENGTH.unpack(receive(connection, LENGTH.size))[0]


def load():
    """
    All that calls have in common: the CLI's plugins, and the models of the services, which one loader
    keeps. Forking takes them along.
    """
    import awscli.handlers  # noqa: F401, loading it is the point
    import distro
    from botocore import loaders, session  # the CLI's own, once it is loaded
    distro.major_version()  # keeps what it finds out, and runs a program for it
    loader = loaders.create_loader(os.environ["AWS_DATA_PATH"])
    session.create_loader = lambda *_: loader
    for kind in "service-2", "paginators-1", "waiters-2", "endpoint-rule-set-1":
        loader.list_available_services(kind)
        for service in SERVICES:
            try:
                loader.load_service_model(service, kind)
            except loaders.UnknownServiceError:  # STS has no waiters
                pass
    for name in "cli", "endpoints", "_retry", "sdk-default-configuration", "partitions":
        try:
            loader.load_data(name)
        except loaders.DataNotFoundError:
            pass


def prepare():
    """The CLI's driver with the commands of our services, for callers without a ~/.aws of their own."""
    import awscli.clidriver
    driver = awscli.clidriver.create_clidriver()
    commands = driver.subcommand_table
    for service in SERVICES:
        commands[service].subcommand_table  # made when asked for
    return driver


def run(connection, descriptors, request, driver):
    """In the child: becomes the caller."""
    import awscli.clidriver
    folder, count, *rest = request.decode("utf-8", "surrogateescape").split("\0")
    arguments, environment = rest[:int(count)], rest[int(count):]
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.chdir(folder)
    # The CLI tells itself at load where its data is.
    data = os.environ["AWS_DATA_PATH"]
    os.environ.clear()
    os.environ["AWS_DATA_PATH"] = data
    os.environ.update(item.split("=", 1) for item in environment)
    sys.argv = ["aws", *arguments]
    if os.path.exists(os.path.expanduser("~/.aws")):
        driver = None
    status = 255
    try:
        status = awscli.clidriver.AWSCLIEntryPoint(driver).main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number in range(3):
            os.close(number)
        connection.sendall(LENGTH.pack(status & 255))
        os._exit(0)


def serve(path):
    import gc
    import signal
    import awscli.clidriver  # noqa: F401, loading it is the point
    load()
    driver = prepare()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        while True:
            connection, _ = listener.accept()
            octets, ancillary, _, _ = connection.recvmsg(LENGTH.size, socket.CMSG_SPACE(12))
            descriptors = array.array("i")
            for _, _, data in ancillary:
                descriptors.frombytes(data)
            request = receive(connection, LENGTH.unpack(octets)[0])
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                run(connection, descriptors, request, driver)
            for descriptor in descriptors:
                os.close(descriptor)
            connection.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(call(sys.argv[1], sys.argv[2:]))
