/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD: makes one memory allocation or system call of a program fail, once.
 *
 *   FAULTS_LOG=FILE     every call that can be made to fail is appended there, a line each:
 *                       "call NAME CALLER SITE"; and "failed ..." once one was
 *   FAULTS_SITE=SITE    fail at this site; without it nothing fails
 *   FAULTS_NTH=N        the Nth call there, from 1
 *   FAULTS_ERRNO=N      with this errno; 0: a read or write does half of what it could
 *
 * A site is the hash of a call's name and of the functions it was called through, so it is the same
 * in every run, whatever threads and time do. Only what happens within main() counts, and what
 * the libraries do that can take a failure. Left out, as they end the process by design:
 *   - glib and libfixbuf: g_malloc() aborts,
 *   - libuv's own wake-up descriptors, its table of watchers, epoll_ctl(), the return of a signal to
 *     its standard action, and the start of its thread pool: it aborts,
 * and its question whether a socket is connected, whose failure it does not look at, and what is written to standard error, where the line would stand that is looked for.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <unwind.h>

enum {
	RANGES = 64,
	DEPTH = 12,	/* frames that are looked at */
	SITE_DEPTH = 6, /* frames that make a site */
};

enum kind { OTHER, PROGRAM, LIBUV, LIBRARY, OPENSSL, LIBC, GIVES_UP };

static const char *const kind_names[] = { "other",   "program", "libuv", "library",
					  "openssl", "libc",	"" };

struct range {
	uintptr_t first;
	uintptr_t end;
	uintptr_t base;
	enum kind kind;
};

static struct range range[RANGES];
static unsigned ranges;
static atomic_bool armed;
static bool counting;
static uint64_t wanted_site;
static unsigned long wanted_nth;
static int wanted_errno;
static atomic_ulong calls_there;
static int log_fd = -1;
static __thread unsigned inside;      /* the shim's own calls */
static __thread unsigned inside_once; /* of pthread_once() */

/* ---- where a call comes from ----------------------------------------------------------------- */

static enum kind kind_of(const char *name)
{
	static const struct {
		const char *part;
		enum kind kind;
	} kinds[] = {
		{ "libuv.so", LIBUV },	      { "libcjson.so", LIBRARY },
		{ "libz.so", LIBRARY },	      { "libcrypto.so", OPENSSL },
		{ "libssl.so", OPENSSL },     { "libc.so", LIBC },
		{ "libglib", GIVES_UP },      { "libgthread", GIVES_UP },
		{ "libfixbuf", GIVES_UP },    { "ld-linux", GIVES_UP },
		{ "libstdc++.so", GIVES_UP },
	};
	if (*name == '\0')
		return PROGRAM;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strstr(name, kinds[i].part) != NULL)
			return kinds[i].kind;
	return OTHER;
}

static int add_ranges(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	(void)data;
	for (unsigned i = 0; i < info->dlpi_phnum && ranges < RANGES; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_LOAD || (p->p_flags & PF_X) == 0)
			continue;
		uintptr_t first = info->dlpi_addr + p->p_vaddr;
		range[ranges++] = (struct range){
			.first = first,
			.end = first + p->p_memsz,
			.base = info->dlpi_addr,
			.kind = kind_of(info->dlpi_name),
		};
	}
	return 0;
}

struct trail {
	unsigned skip; /* frames of the shim itself */
	unsigned count;
	const struct range *range[DEPTH];
	uintptr_t offset[DEPTH];
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *data)
{
	struct trail *t = data;
	uintptr_t at = _Unwind_GetIP(context);
	static const struct range unknown = { .kind = OTHER };
	const struct range *found = &unknown;
	for (unsigned i = 0; i < ranges; i++)
		if (at >= range[i].first && at < range[i].end)
			found = &range[i];
	if (t->skip > 0) {
		t->skip--;
		return _URC_NO_REASON;
	}
	t->range[t->count] = found;
	t->offset[t->count++] = at - found->base;
	return t->count == DEPTH ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* The site of a call, 0 when it is none that may fail. */
static uint64_t site_of(const char *name, enum kind *caller)
{
	/* site_of, is_chosen and the wrapper */
	struct trail t = { .skip = 3 };
	uint64_t hash = 14695981039346656037u;
	_Unwind_Backtrace(add_frame, &t);
	if (t.count == 0 || t.range[0]->kind == OTHER)
		return 0;
	*caller = t.range[0]->kind;
	bool ours = false;
	for (unsigned i = 0; i < t.count; i++) {
		if (t.range[i]->kind == GIVES_UP)
			return 0;
		if (t.range[i]->kind == OPENSSL)
			*caller = OPENSSL;
		ours = ours || (t.range[i]->kind != OTHER && t.range[i]->kind != LIBC);
	}
	/* A sanitizer's own, when a thread begins. */
	if (!ours)
		return 0;
	for (; *name != '\0'; name++)
		hash = (hash ^ (unsigned char)*name) * 1099511628211u;
	for (unsigned i = 0; i < t.count && i < SITE_DEPTH; i++)
		hash = (hash ^ (t.offset[i] + t.range[i]->kind)) * 1099511628211u;
	return hash | 1;
}

/* ---- the choice ------------------------------------------------------------------------------ */

static void note(const char *what, const char *name, enum kind caller, uint64_t site)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "%s %s %s %016llx\n", what, name, kind_names[caller],
			   (unsigned long long)site);
	(void)!syscall(SYS_write, log_fd, line, len);
}

static bool is_socket(int fd)
{
	struct stat st;
	return syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH) == 0 && S_ISSOCK(st.st_mode);
}

/* fd: what it is about, -1 for nothing. memory: an allocation, which all may fail. */
__attribute__((noinline)) static bool is_chosen(const char *name, bool memory, int fd)
{
	bool chosen = false;
	if (!atomic_load(&armed) || inside > 0 || (!memory && inside_once > 0) ||
	    fd == STDERR_FILENO)
		return false;
	inside++;
	int before = errno;
	enum kind caller = OTHER;
	uint64_t site = site_of(name, &caller);
	if (caller == LIBUV && fd >= 0 && !is_socket(fd))
		site = 0;
	/* The table of its watchers; and whether it is connected, which it takes for told in any case. */
	if (caller == LIBUV && (strcmp(name, "realloc") == 0 || strcmp(name, "getsockopt") == 0))
		site = 0;
	if (site != 0 && counting)
		note("call", name, caller, site);
	if (site != 0 && site == wanted_site)
		chosen = atomic_fetch_add(&calls_there, 1) + 1 == wanted_nth;
	if (chosen)
		note("failed", name, caller, site);
	errno = chosen && wanted_errno != 0 ? wanted_errno : before;
	inside--;
	return chosen;
}

static void *next_symbol(const char *name)
{
	inside++;
	void *symbol = dlsym(RTLD_NEXT, name);
	inside--;
	return symbol;
}

/* The function that would have been called without us, looked up once. */
#define REAL(name)                                                                                 \
	({                                                                                         \
		static __typeof__(name) *_Atomic real_##name;                                      \
		__typeof__(name) *found = atomic_load(&real_##name);                               \
		if (found == NULL) {                                                               \
			found = (__typeof__(name) *)next_symbol(#name);                            \
			atomic_store(&real_##name, found);                                         \
		}                                                                                  \
		found;                                                                             \
	})

/* ---- beginning ------------------------------------------------------------------------------- */

static int (*real_main)(int, char **, char **);

static int guarded_main(int argc, char **argv, char **env)
{
	atomic_store(&armed, log_fd >= 0);
	int status = real_main(argc, argv, env);
	atomic_store(&armed, false);
	return status;
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
		      void (*fini)(void), void (*rtld_fini)(void), void *stack);

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
		      void (*fini)(void), void (*rtld_fini)(void), void *stack)
{
	real_main = main;
	return REAL(__libc_start_main)(guarded_main, argc, argv, init, fini, rtld_fini, stack);
}

__attribute__((constructor)) static void begin(void)
{
	const char *log = getenv("FAULTS_LOG");
	const char *site = getenv("FAULTS_SITE");
	const char *nth = getenv("FAULTS_NTH");
	const char *number = getenv("FAULTS_ERRNO");
	if (log == NULL)
		return;
	counting = site == NULL;
	wanted_site = site == NULL ? 0 : strtoull(site, NULL, 16);
	wanted_nth = nth == NULL ? 1 : strtoul(nth, NULL, 10);
	wanted_errno = number == NULL ? ENOMEM : (int)strtol(number, NULL, 10);
	dl_iterate_phdr(add_ranges, NULL);
	/* The unwinder is loaded and its tables are found before anything counts. */
	enum kind caller;
	(void)site_of("", &caller);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	/* Out of the way of the program's own numbers. */
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 900);
	if (log_fd < 0)
		log_fd = fd;
	else
		close(fd);
}

/* ---- memory ---------------------------------------------------------------------------------- */

void *malloc(size_t size)
{
	if (is_chosen("malloc", true, -1))
		return NULL;
	return REAL(malloc)(size);
}

/* dlsym may need some before calloc is known. */
static char early[4096];

void *calloc(size_t count, size_t size)
{
	static atomic_size_t used;
	static _Thread_local bool looking;
	if (looking)
		return early + atomic_fetch_add(&used, (count * size + 15) & ~(size_t)15);
	looking = true;
	__typeof__(calloc) *real = REAL(calloc);
	looking = false;
	if (is_chosen("calloc", true, -1))
		return NULL;
	return real(count, size);
}

void *realloc(void *old, size_t size)
{
	if (is_chosen("realloc", true, -1))
		return NULL;
	return REAL(realloc)(old, size);
}

char *strdup(const char *text)
{
	if (is_chosen("strdup", true, -1))
		return NULL;
	return REAL(strdup)(text);
}

char *strndup(const char *text, size_t most)
{
	if (is_chosen("strndup", true, -1))
		return NULL;
	return REAL(strndup)(text, most);
}

/* ---- system calls ---------------------------------------------------------------------------- */

#define CALL(type, name, fd, params, args)                                                         \
	type name params                                                                           \
	{                                                                                          \
		if (is_chosen(#name, false, fd))                                                   \
			return (type)-1;                                                           \
		return REAL(name) args;                                                            \
	}

CALL(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
CALL(int, bind, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
CALL(int, listen, -1, (int fd, int backlog), (fd, backlog))
CALL(int, accept4, -1, (int fd, struct sockaddr *restrict a, socklen_t *restrict n, int flags),
     (fd, a, n, flags))
CALL(int, connect, -1, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
CALL(int, shutdown, -1, (int fd, int how), (fd, how))
CALL(int, getsockname, -1, (int fd, struct sockaddr *restrict a, socklen_t *restrict n), (fd, a, n))
CALL(int, getpeername, -1, (int fd, struct sockaddr *restrict a, socklen_t *restrict n), (fd, a, n))
CALL(int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t n),
     (fd, level, name, value, n))
CALL(int, getsockopt, -1,
     (int fd, int level, int name, void *restrict value, socklen_t *restrict n),
     (fd, level, name, value, n))
CALL(ssize_t, sendmsg, -1, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
CALL(ssize_t, recvmsg, -1, (int fd, struct msghdr *m, int flags), (fd, m, flags))
CALL(int, epoll_create1, -1, (int flags), (flags))
CALL(int, pipe2, -1, (int fd[2], int flags), (fd, flags))
CALL(int, eventfd, -1, (unsigned value, int flags), (value, flags))
CALL(int, fsync, fd, (int fd), (fd))
CALL(int, fdatasync, fd, (int fd), (fd))
CALL(int, ftruncate, fd, (int fd, off_t size), (fd, size))
CALL(int, fstat, fd, (int fd, struct stat *restrict st), (fd, st))
CALL(int, fstatat, -1, (int fd, const char *restrict path, struct stat *restrict st, int flags),
     (fd, path, st, flags))
CALL(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
CALL(int, unlinkat, -1, (int fd, const char *path, int flags), (fd, path, flags))
CALL(int, renameat, -1, (int fd, const char *from, int fd2, const char *to), (fd, from, fd2, to))
CALL(int, rename, -1, (const char *from, const char *to), (from, to))
CALL(int, flock, -1, (int fd, int operation), (fd, operation))
CALL(int, getrlimit, -1, (__rlimit_resource_t resource, struct rlimit *limit), (resource, limit))
CALL(int, setrlimit, -1, (__rlimit_resource_t resource, const struct rlimit *limit),
     (resource, limit))

int fclose(FILE *file)
{
	/* It closes all the same. */
	bool chosen = is_chosen("fclose", false, -1);
	int number = errno;
	int status = REAL(fclose)(file);
	if (!chosen)
		return status;
	errno = number;
	return EOF;
}

#define POINTER(type, name, params, args)                                                          \
	type *name params                                                                          \
	{                                                                                          \
		if (is_chosen(#name, false, -1))                                                   \
			return NULL;                                                               \
		return REAL(name) args;                                                            \
	}

POINTER(FILE, fopen, (const char *restrict path, const char *restrict mode), (path, mode))
POINTER(FILE, fdopen, (int fd, const char *mode), (fd, mode))
POINTER(DIR, fdopendir, (int fd), (fd))
POINTER(struct dirent, readdir, (DIR * dir), (dir))

#define TRANSFER(name, params, args, half)                                                         \
	ssize_t name params                                                                        \
	{                                                                                          \
		if (is_chosen(#name, false, fd)) {                                                 \
			if (wanted_errno != 0)                                                     \
				return -1;                                                         \
			half;                                                                      \
		}                                                                                  \
		return REAL(name) args;                                                            \
	}

TRANSFER(read, (int fd, void *to, size_t n), (fd, to, n), n = n / 2 + 1)
TRANSFER(write, (int fd, const void *from, size_t n), (fd, from, n), n = n / 2 + 1)
TRANSFER(pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at), n = n / 2 + 1)
TRANSFER(pwrite, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at), n = n / 2 + 1)
TRANSFER(writev, (int fd, const struct iovec *part, int n), (fd, part, n), n = n / 2 + 1)

int sigaction(int number, const struct sigaction *restrict new, struct sigaction *restrict old)
{
	bool back = new != NULL &&new->sa_handler == SIG_DFL;
	if (!back && is_chosen("sigaction", false, -1))
		return -1;
	return REAL(sigaction)(number, new, old);
}

int open(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = va_arg(args, mode_t);
	va_end(args);
	if (is_chosen("open", false, -1))
		return -1;
	return REAL(open)(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = va_arg(args, mode_t);
	va_end(args);
	if (is_chosen("openat", false, -1))
		return -1;
	return REAL(openat)(dir, path, flags, mode);
}

int fcntl(int fd, int command, ...)
{
	va_list args;
	va_start(args, command);
	void *value = va_arg(args, void *);
	va_end(args);
	if (is_chosen("fcntl", false, -1))
		return -1;
	return REAL(fcntl)(fd, command, value);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *value = va_arg(args, void *);
	va_end(args);
	if (is_chosen("ioctl", false, -1))
		return -1;
	return REAL(ioctl)(fd, request, value);
}

int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
	/* libuv takes nothing else. */
	if (is_chosen("epoll_pwait", false, -1)) {
		errno = EINTR;
		return -1;
	}
	return REAL(epoll_pwait)(fd, events, most, timeout, mask);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
		   void *(*run)(void *), void *restrict data)
{
	if (is_chosen("pthread_create", false, -1))
		return EAGAIN;
	return REAL(pthread_create)(thread, attributes, run, data);
}

int getaddrinfo(const char *restrict host, const char *restrict port,
		const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	if (is_chosen("getaddrinfo", false, -1))
		return EAI_AGAIN;
	return REAL(getaddrinfo)(host, port, hints, found);
}

int pthread_once(pthread_once_t *once, void (*init)(void))
{
	inside_once++;
	int error = REAL(pthread_once)(once, init);
	inside_once--;
	return error;
}
