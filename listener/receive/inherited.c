/* SPDX-License-Identifier: Apache-2.0 */
/* LISTEN_PID and LISTEN_FDS in, a number of checked descriptors out. Their names are of no use here. */
#include "receive/inherited.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/number.h"

static int socket_number(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

static bool is_listening_tcp(int fd)
{
	int domain = socket_number(fd, SO_DOMAIN);
	return (domain == AF_INET || domain == AF_INET6) &&
	       socket_number(fd, SO_TYPE) == SOCK_STREAM &&
	       socket_number(fd, SO_PROTOCOL) == IPPROTO_TCP &&
	       socket_number(fd, SO_ACCEPTCONN) == 1;
}

static bool parse(const char *process, const char *sockets, unsigned *count)
{
	uint64_t pid;
	uint64_t n;
	if (process == NULL || sockets == NULL)
		return true;
	if (!number_parse(slice_text(process), INT32_MAX, &pid) ||
	    !number_parse(slice_text(sockets), UINT16_MAX, &n)) {
		log_error("listen", "LISTEN_PID or LISTEN_FDS is no number");
		return false;
	}
	if (pid != (uint64_t)getpid())
		return true;
	if (n > INHERITED_LIMIT) {
		log_error("listen",
			  "more sockets handed over than can be taken LISTEN_FDS=%llu most=%d",
			  (unsigned long long)n, INHERITED_LIMIT);
		return false;
	}
	*count = (unsigned)n;
	return true;
}

bool inherited_take(unsigned *count)
{
	*count = 0;
	bool ok = parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), count);
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	for (int fd = INHERITED_FIRST; ok && fd < INHERITED_FIRST + (int)*count; fd++) {
		ok = is_listening_tcp(fd) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
		if (!ok)
			log_error("listen",
				  "what was handed over is no listening TCP socket descriptor=%d",
				  fd);
	}
	return ok;
}
