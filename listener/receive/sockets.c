/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses to listening descriptors, before there is a loop that accepts. A socket that shares its
 * port lets every process of the same user share it; so the port is tried without that first, and a
 * second vpcflowd by mistake is told that the address is in use, as it is with one worker.
 */
#include "receive/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

enum { BACKLOG = 1024 };

/* Where to bind; the port is settled by the first who does. */
struct place {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t len;
};

static int place_of(const struct listen_address *a, struct place *p)
{
	if (uv_ip6_addr(a->host, a->port, &p->address.v6) == 0)
		p->len = sizeof(p->address.v6);
	else if (uv_ip4_addr(a->host, a->port, &p->address.v4) == 0)
		p->len = sizeof(p->address.v4);
	else
		return -EINVAL;
	return 0;
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* An address of IPv6 takes IPv4 too, as far as it has it. */
static int set_options(int fd, const struct place *p, bool shared)
{
	int error = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (error == 0 && p->address.any.sa_family == AF_INET6)
		error = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (error == 0 && shared)
		error = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return error;
}

/* A bound socket, or a negative errno. The place has its port then. */
static int bind_to(struct place *p, bool shared)
{
	struct sockaddr *address = &p->address.any;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int error = set_options(fd, p, shared);
	if (error == 0 &&
	    (bind(fd, address, p->len) != 0 || getsockname(fd, address, &p->len) != 0))
		error = -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* Whether the port is free, or the errno why it is not; settles it where any will do. */
static int try_port(struct place *p)
{
	int fd = bind_to(p, false);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int find_address(int fd, char address[SOCKET_TEXT])
{
	struct place at = { .len = sizeof(at.address) };
	char host[ADDRESS_TEXT] = "?";
	if (getsockname(fd, &at.address.any, &at.len) != 0)
		return -errno;
	uv_ip_name(&at.address.any, host, sizeof(host));
	bool v6 = at.address.any.sa_family == AF_INET6;
	uint16_t port = v6 ? at.address.v6.sin6_port : at.address.v4.sin_port;
	(void)snprintf(address, SOCKET_TEXT, v6 ? "[%s]:%u" : "%s:%u", host, ntohs(port));
	return 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static struct listening *new_row(struct sockets *s)
{
	struct listening *row = &s->row[s->count++];
	for (unsigned i = 0; i < s->workers; i++)
		row->fd[i] = -1;
	return row;
}

static int begin_listening(struct sockets *s, struct listening *row)
{
	for (unsigned i = 0; i < s->workers; i++)
		if (listen(row->fd[i], BACKLOG) != 0)
			return -errno;
	int error = find_address(row->fd[0], row->address);
	if (error == 0)
		log_info("listen", "listening address=%s", row->address);
	return error;
}

static void close_row(const struct sockets *s, struct listening *row)
{
	for (unsigned i = 0; i < s->workers; i++)
		if (row->fd[i] >= 0)
			close(row->fd[i]);
}

static int bind_row(struct sockets *s, const struct listen_address *a)
{
	struct place place = { .len = 0 };
	bool shared = s->workers > 1;
	struct listening *row = new_row(s);
	int error = place_of(a, &place);
	if (error == 0 && shared)
		error = try_port(&place);
	for (unsigned i = 0; i < s->workers && error == 0; i++) {
		row->fd[i] = bind_to(&place, shared);
		error = row->fd[i] < 0 ? row->fd[i] : 0;
	}
	if (error == 0)
		error = begin_listening(s, row);
	if (error != 0) {
		close_row(s, row);
		s->count--;
	}
	return error;
}

static int bind_address(struct sockets *s, const struct listen_address *a)
{
	int error = bind_row(s, a);
	/* Without IPv6 in the kernel the standard address is IPv4's. */
	if (a->standard && (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL)) {
		struct listen_address v4 = *a;
		memcpy(v4.host, "0.0.0.0", sizeof("0.0.0.0"));
		error = bind_row(s, &v4);
	}
	if (error != 0)
		log_error("listen", "cannot listen option=\"--listen %s\" error=\"%s\"", a->text,
			  error_text(error));
	return error;
}

static int take_inherited(struct sockets *s, int fd)
{
	struct listening *row = new_row(s);
	int error = 0;
	row->fd[0] = fd;
	for (unsigned i = 1; i < s->workers && error == 0; i++) {
		row->fd[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		error = row->fd[i] < 0 ? -errno : 0;
	}
	if (error == 0)
		error = begin_listening(s, row);
	if (error != 0)
		log_error("listen", "cannot listen descriptor=%d error=\"%s\"", fd,
			  error_text(error));
	return error;
}

/* ---- all of them ----------------------------------------------------------------------------- */

int sockets_open(struct sockets *s, const struct config *config, unsigned workers,
		 unsigned inherited)
{
	int error = 0;
	s->workers = workers;
	s->count = 0;
	for (unsigned i = 0; i < inherited && error == 0; i++)
		error = take_inherited(s, INHERITED_FIRST + (int)i);
	for (size_t i = 0; i < config->listens && error == 0; i++)
		if (inherited == 0 || !config->listen[i].standard)
			error = bind_address(s, &config->listen[i]);
	return error;
}

void sockets_close(struct sockets *s)
{
	for (unsigned i = 0; i < s->count; i++)
		close_row(s, &s->row[i]);
	s->count = 0;
}

void sockets_print(const struct sockets *s, FILE *out)
{
	for (unsigned i = 0; i < s->count; i++)
		fprintf(out, "%s\n", s->row[i].address);
}

int sockets_listen(const struct listen_address *a, char address[SOCKET_TEXT])
{
	struct place place = { .len = 0 };
	int error = place_of(a, &place);
	int fd = error == 0 ? bind_to(&place, false) : error;
	if (fd < 0)
		return fd;
	error = listen(fd, BACKLOG) == 0 ? find_address(fd, address) : -errno;
	if (error == 0)
		return fd;
	close(fd);
	return error;
}
