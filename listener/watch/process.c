/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of this process: getrusage(2), getrlimit(2) and proc(5). */
#include "watch/process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/number.h"

enum { STATUS_ROOM = 8192 };

static uint64_t micros(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* The number behind a name at the beginning of a line; 0 for none. */
static uint64_t find_number(const char *text, const char *name)
{
	uint64_t n;
	const char *at = strstr(text, name);
	if (at == NULL)
		return 0;
	at += strlen(name);
	at += strspn(at, " \t");
	return number_parse(slice_of(at, strspn(at, "0123456789")), UINT64_MAX, &n) ? n : 0;
}

static void look_at_status(struct process *p)
{
	char text[STATUS_ROOM];
	FILE *file = fopen("/proc/self/status", "re");
	if (file == NULL)
		return;
	size_t len = fread(text, 1, sizeof(text) - 1, file);
	(void)fclose(file);
	text[len] = '\0';
	p->resident = find_number(text, "\nVmRSS:") * 1024;
	p->virtual = find_number(text, "\nVmSize:") * 1024;
	p->threads = find_number(text, "\nThreads:");
}

/* Without the one that it takes to count them. */
static uint64_t count_fds(void)
{
	uint64_t count = 0;
	const struct dirent *entry;
	DIR *folder = opendir("/proc/self/fd");
	if (folder == NULL)
		return 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the folder is this thread's own. */
	while ((entry = readdir(folder)) != NULL)
		count += entry->d_name[0] != '.';
	(void)closedir(folder);
	return count - 1;
}

void process_look(struct process *p)
{
	struct rusage usage;
	struct rlimit limit;
	*p = (struct process){ .open_fds = count_fds() };
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		p->cpu_us = micros(usage.ru_utime) + micros(usage.ru_stime);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		p->max_fds = (uint64_t)limit.rlim_cur;
	look_at_status(p);
}
