/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_NOTIFY_H
#define VPCFLOWD_BASE_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/attributes.h"

/*
 * Tells a service manager how things stand: sd_notify(3)'s protocol, which is datagrams of
 * VARIABLE=value lines to the socket that NOTIFY_SOCKET names. Where there is no such variable
 * nobody wants to know, and nothing is sent. Never blocks.
 */
struct notify {
	int fd; /* -1: nobody wants to know */
	struct sockaddr_un to;
	socklen_t to_len;
	/* How often WATCHDOG=1 is due, half the time after which we count as hung; 0 for never. */
	uint64_t watchdog_ms;
};

/*
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, since
 * they are meant for this process alone. Before there are other threads. What is wrong with them is
 * logged.
 */
void notify_init(struct notify *n);
void notify_deinit(struct notify *n);
/* Sends lines, separated by \n; see sd_notify(3) for the variables. */
void notify_tell(const struct notify *n, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
