/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum {
	MESSAGE_HEADER = 16,
	VERSION = 10,
	LINE_MOST = 256 * 1024, /* of ours: all the fields of a record, each character escaped */
};

int file_open(const char *path, bool wait)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
	int fd = open(path, wait ? flags : flags | O_NONBLOCK, 0644);
	if (fd < 0)
		return -errno;
	if (!wait && fcntl(fd, F_SETFL, O_APPEND) != 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

bool file_is_fifo(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

off_t file_size(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -errno;
	return S_ISREG(st.st_mode) ? st.st_size : -ESPIPE;
}

static int open_for_reading(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
}

ssize_t file_begins_with(const char *path, struct slice octets)
{
	char part[512];
	size_t same = 0;
	ssize_t got = 0;
	int fd = open_for_reading(path);
	/* Who may write there but not read knows what they do. */
	if (fd < 0)
		return (ssize_t)octets.len;
	while (same < octets.len) {
		size_t n = octets.len - same < sizeof(part) ? octets.len - same : sizeof(part);
		got = read(fd, part, n);
		if (got <= 0 || memcmp(part, octets.data + same, (size_t)got) != 0)
			break;
		same += (size_t)got;
	}
	int error = got < 0 ? -errno : 0;
	close(fd);
	return error != 0 ? error : (ssize_t)same;
}

/* Whether there is nothing but zeros from at on, as a crash may leave in place of what was written. */
static bool only_zeros(int fd, off_t at)
{
	char part[4096];
	ssize_t n;
	for (; (n = pread(fd, part, sizeof(part), at)) > 0; at += n)
		for (ssize_t i = 0; i < n; i++)
			if (part[i] != 0)
				return false;
	return n == 0;
}

/* Where the last whole message ends; -EINVAL when what follows is no message that was cut. */
static off_t end_of_messages(int fd, off_t size)
{
	off_t at = 0;
	while (at < size) {
		unsigned char h[4] = { 0, VERSION, 0, MESSAGE_HEADER };
		ssize_t n = pread(fd, h, sizeof(h), at);
		if (n < 0)
			return -errno;
		off_t len = h[2] << 8 | h[3];
		if (h[0] != 0 || h[1] != VERSION || len < MESSAGE_HEADER)
			return at > 0 && only_zeros(fd, at) ? at : -EINVAL;
		if (len > size - at)
			break;
		at += len;
	}
	return at;
}

/* Where the last line ends that has an end; the file's end when there is none that could be ours. */
static off_t end_of_lines(int fd, off_t size)
{
	char part[4096];
	off_t at = size;
	while (at > 0 && size - at < LINE_MOST) {
		size_t want = at < (off_t)sizeof(part) ? (size_t)at : sizeof(part);
		ssize_t n = pread(fd, part, want, at - (off_t)want);
		if (n != (ssize_t)want)
			return n < 0 ? -errno : -EIO;
		const char *newline = memrchr(part, '\n', want);
		at -= (off_t)want;
		if (newline != NULL)
			return at + (newline - part) + 1;
	}
	return size;
}

/* Whether the last octet is no newline, or a negative errno. */
static int is_torn(const char *path, int fd)
{
	off_t size = file_size(fd);
	if (size <= 0)
		return size == -ESPIPE ? 0 : (int)size;
	int in = open_for_reading(path);
	if (in < 0)
		return 0;
	char last = '\n';
	ssize_t n = pread(in, &last, 1, size - 1);
	int error = n < 0 ? -errno : 0;
	close(in);
	return error != 0 ? error : last != '\n';
}

/* Cuts the file back to where `end_of` finds the end of what is whole in it. */
static int mend(const char *path, int fd, off_t (*end_of)(int fd, off_t size), const char *what)
{
	off_t size = file_size(fd);
	if (size == 0 || size == -ESPIPE)
		return 0;
	if (size < 0)
		return (int)size;
	int in = open_for_reading(path);
	if (in < 0)
		return 0;
	off_t end = end_of(in, size);
	close(in);
	if (end < 0)
		return (int)end;
	if (end == size)
		return 0;
	log_warn("output", "the file ends within a %s, which is removed file=%s octets=%lld", what,
		 path, (long long)(size - end));
	return ftruncate(fd, end) == 0 ? 0 : -errno;
}

int file_mend_messages(const char *path, int fd)
{
	return mend(path, fd, end_of_messages, "message");
}

int file_mend_lines(const char *path, int fd, bool cut, bool *torn)
{
	int error = cut ? mend(path, fd, end_of_lines, "line") : 0;
	int ends_within = error == 0 ? is_torn(path, fd) : error;
	*torn = ends_within > 0;
	return ends_within < 0 ? ends_within : 0;
}
