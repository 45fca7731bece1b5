/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 64 };

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int error[DISK_CALL_COUNT];
	unsigned fails[DISK_CALL_COUNT];
	unsigned count[DISK_CALL_COUNT];
	uint64_t room;
	bool hold;
	bool waits;
	bool cut;
	int64_t ahead;
	struct stat synced[FILES]; /* of the last files, by their number */
} disk = {
	.mutex = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
	.room = UINT64_MAX,
};

static void lock(void)
{
	pthread_mutex_lock(&disk.mutex);
}

static void unlock(void)
{
	pthread_mutex_unlock(&disk.mutex);
}

void disk_reset(void)
{
	lock();
	memset(disk.fails, 0, sizeof(disk.fails));
	memset(disk.count, 0, sizeof(disk.count));
	disk.room = UINT64_MAX;
	disk.hold = disk.waits = disk.cut = false;
	disk.ahead = 0;
	unlock();
}

void disk_fail(enum disk_call call, int error, unsigned times)
{
	lock();
	disk.error[call] = error;
	disk.fails[call] = times;
	unlock();
}

unsigned disk_count(enum disk_call call)
{
	lock();
	unsigned count = disk.count[call];
	unlock();
	return count;
}

void disk_room(uint64_t octets)
{
	lock();
	disk.room = octets;
	unlock();
}

void disk_hold(bool hold)
{
	lock();
	disk.hold = hold;
	pthread_cond_broadcast(&disk.changed);
	unlock();
}

void disk_wait_for_sync(void)
{
	lock();
	while (!disk.waits)
		pthread_cond_wait(&disk.changed, &disk.mutex);
	unlock();
}

void disk_cut(bool cut)
{
	lock();
	disk.cut = cut;
	unlock();
}

uint64_t disk_synced(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return 0;
	lock();
	const struct stat *synced = &disk.synced[st.st_ino % FILES];
	uint64_t octets = synced->st_ino == st.st_ino ? (uint64_t)synced->st_size : 0;
	unlock();
	return octets;
}

void disk_set_clock(int64_t seconds_ahead)
{
	lock();
	disk.ahead = seconds_ahead;
	unlock();
}

/* With the lock held: whether the call fails, which sets errno. */
static bool fails(enum disk_call call)
{
	disk.count[call]++;
	if (disk.fails[call] == 0)
		return false;
	disk.fails[call]--;
	errno = disk.error[call];
	return true;
}

/* A call that changes something: it fails, it is done, or the power is gone. */
#define CHANGE(call, nothing, done)                                                                \
	do {                                                                                       \
		lock();                                                                            \
		__typeof__(done) result = fails(call) ? -1 : disk.cut ? (nothing) : (done);        \
		int error = errno;                                                                 \
		unlock();                                                                          \
		errno = error;                                                                     \
		return result;                                                                     \
	} while (0)

/* ---- in place of system calls ---------------------------------------------------------------- */

ssize_t __real_writev(int fd, const struct iovec *part, int parts);
ssize_t __wrap_writev(int fd, const struct iovec *part, int parts);
ssize_t __real_write(int fd, const void *octets, size_t len);
ssize_t __wrap_write(int fd, const void *octets, size_t len);
ssize_t __real_pwrite(int fd, const void *octets, size_t len, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *octets, size_t len, off_t offset);
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_unlinkat(int dir, const char *name, int flags);
int __wrap_unlinkat(int dir, const char *name, int flags);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...);
time_t __real_time(time_t *to);
time_t __wrap_time(time_t *to);

static ssize_t sum(const struct iovec *part, int parts)
{
	size_t octets = 0;
	for (int i = 0; i < parts; i++)
		octets += part[i].iov_len;
	return (ssize_t)octets;
}

/* As far as there is room: at least one octet, or ENOSPC. */
static ssize_t write_parts(int fd, const struct iovec *part, int parts)
{
	ssize_t all = sum(part, parts);
	if (disk.room == UINT64_MAX)
		return __real_writev(fd, part, parts);
	if ((uint64_t)all <= disk.room) {
		disk.room -= (uint64_t)all;
		return __real_writev(fd, part, parts);
	}
	if (disk.room == 0) {
		errno = ENOSPC;
		return -1;
	}
	struct iovec first = part[0];
	if (first.iov_len > disk.room)
		first.iov_len = disk.room;
	disk.room -= first.iov_len;
	return __real_writev(fd, &first, 1);
}

ssize_t __wrap_writev(int fd, const struct iovec *part, int parts)
{
	CHANGE(DISK_WRITEV, sum(part, parts), write_parts(fd, part, parts));
}

ssize_t __wrap_write(int fd, const void *octets, size_t len)
{
	if (fd == STDERR_FILENO)
		return __real_write(fd, octets, len);
	CHANGE(DISK_WRITE, (ssize_t)len, __real_write(fd, octets, len));
}

ssize_t __wrap_pwrite(int fd, const void *octets, size_t len, off_t offset)
{
	CHANGE(DISK_PWRITE, (ssize_t)len, __real_pwrite(fd, octets, len, offset));
}

int __wrap_ftruncate(int fd, off_t len)
{
	CHANGE(DISK_FTRUNCATE, 0, __real_ftruncate(fd, len));
}

static int note_synced(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0)
		disk.synced[st.st_ino % FILES] = st;
	return 0;
}

/* The files are in memory: there is nothing to be waited for but what the test wants. */
int __wrap_fdatasync(int fd)
{
	lock();
	while (disk.hold) {
		disk.waits = true;
		pthread_cond_broadcast(&disk.changed);
		pthread_cond_wait(&disk.changed, &disk.mutex);
	}
	disk.waits = false;
	unlock();
	CHANGE(DISK_FDATASYNC, 0, note_synced(fd));
}

int __wrap_fsync(int fd)
{
	(void)fd;
	CHANGE(DISK_FSYNC, 0, 0);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	CHANGE(DISK_UNLINKAT, 0, __real_unlinkat(dir, name, flags));
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	CHANGE(DISK_RENAMEAT, 0, __real_renameat(from_dir, from, to_dir, to));
}

static int open_nothing(int dir, const char *name, int flags)
{
	int fd = __real_openat(dir, name, flags & ~(O_CREAT | O_EXCL));
	return fd < 0 && (flags & O_CREAT) != 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : fd;
}

int __wrap_openat(int dir, const char *name, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	CHANGE(DISK_OPENAT, open_nothing(dir, name, flags), __real_openat(dir, name, flags, mode));
}

time_t __wrap_time(time_t *to)
{
	lock();
	time_t now = __real_time(NULL) + (time_t)disk.ahead;
	unlock();
	if (to != NULL)
		*to = now;
	return now;
}
