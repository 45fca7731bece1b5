/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines to standard error: one bounded buffer, one write, no state but the level. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_ROOM = 2048 };

static _Atomic int threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

/* What snprintf wrote when it had room for n octets and answered len. */
static size_t written(int len, size_t n)
{
	if (len < 0)
		return 0;
	return (size_t)len < n ? (size_t)len : n - 1;
}

void log_line(enum log_level level, const char *area, const char *format, ...)
{
	static const char *const names[] = { "ERROR", "WARN", "INFO", "DEBUG" };
	if ((int)level > atomic_load(&threshold))
		return;
	char line[LINE_ROOM];
	size_t room = sizeof(line) - 1;
	size_t len = written(snprintf(line, room, "%s %s: ", names[level], area), room);
	va_list args;
	va_start(args, format);
	len += written(vsnprintf(line + len, room - len, format, args), room - len);
	va_end(args);
	line[len++] = '\n';
	/* Nobody is left to be told when standard error itself fails. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

const char *log_escape(struct slice foreign, char out[LOG_ESCAPED])
{
	static const char hex[] = "0123456789abcdef";
	size_t n = foreign.len < LOG_SAMPLE ? foreign.len : LOG_SAMPLE;
	char *to = out;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)foreign.data[i];
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
			*to++ = (char)c;
			continue;
		}
		*to++ = '\\';
		*to++ = 'x';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	if (n < foreign.len) {
		memcpy(to, "...", 3);
		to += 3;
	}
	*to = '\0';
	return out;
}
