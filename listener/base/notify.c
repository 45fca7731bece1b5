/* SPDX-License-Identifier: Apache-2.0 */
/* Environment in, datagrams out. What they say is service.c's. */
#include "base/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/number.h"

enum { MESSAGE_ROOM = 1024 };

/* A path, or @ and a name in the abstract namespace. False when it is neither. */
static bool set_address(struct notify *n, const char *name)
{
	size_t len = strlen(name);
	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(n->to.sun_path))
		return false;
	n->to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(n->to.sun_path, name, len);
	if (name[0] == '@')
		n->to.sun_path[0] = '\0';
	/* An abstract name ends with the address, a path with its NUL. */
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
	return true;
}

static void open_socket(struct notify *n, const char *name)
{
	char text[LOG_ESCAPED];
	if (!set_address(n, name)) {
		log_warn("notify", "neither a path nor @ and a name: NOTIFY_SOCKET=\"%s\"",
			 log_escape(slice_text(name), text));
		return;
	}
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		log_warn("notify", "no socket error=\"%s\"", strerror(errno));
}

/* Half of WATCHDOG_USEC, where that is for this process. */
static uint64_t watchdog_period(const char *microseconds, const char *process)
{
	uint64_t us;
	uint64_t pid;
	if (microseconds == NULL)
		return 0;
	if (!number_parse(slice_text(microseconds), UINT64_MAX, &us) || us == 0 ||
	    (process != NULL && !number_parse(slice_text(process), INT32_MAX, &pid))) {
		log_warn("notify", "no watchdog: WATCHDOG_USEC or WATCHDOG_PID is no number");
		return 0;
	}
	if (process != NULL && pid != (uint64_t)getpid())
		return 0;
	return us < 4000 ? 1 : us / 2000;
}

void notify_init(struct notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET");
	*n = (struct notify){ .fd = -1 };
	if (name != NULL && *name != '\0')
		open_socket(n, name);
	if (n->fd >= 0)
		n->watchdog_ms = watchdog_period(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

void notify_deinit(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void notify_tell(const struct notify *n, const char *format, ...)
{
	char message[MESSAGE_ROOM];
	if (n->fd < 0)
		return;
	va_list args;
	va_start(args, format);
	int len = vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (len < 0)
		return;
	size_t size = (size_t)len < sizeof(message) ? (size_t)len : sizeof(message) - 1;
	if (sendto(n->fd, message, size, MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->to_len) <
	    0)
		log_warn("notify", "the service manager was not told error=\"%s\"",
			 strerror(errno));
}
