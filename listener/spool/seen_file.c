/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of 48 octets, appended to the file of their hour. A part of a record, as a crash leaves it,
 * is cut off when the file is opened again; what is older than any window goes with its file.
 */
#include "spool/seen_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum {
	RECORD = DIGEST_SIZE + 8 + 8, /* digest, seconds and flows, little-endian */
	HOURS = 24,		      /* files of hours before these are not looked at */
	HOUR = 3600,
	NAME = 32,
};

static void put_number(unsigned char *to, uint64_t n)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(n >> (8 * i));
}

static uint64_t get_number(const unsigned char *from)
{
	uint64_t n = 0;
	for (int i = 7; i >= 0; i--)
		n = n << 8 | from[i];
	return n;
}

static void file_name(int64_t hour, char name[NAME])
{
	(void)snprintf(name, NAME, "seen-%" PRId64, hour);
}

/* The hour of a file of digests, or -1. */
static int64_t file_hour(const char *name)
{
	int64_t hour = 0;
	if (strncmp(name, "seen-", 5) != 0 || strlen(name) > 15 || name[5] == '\0')
		return -1;
	for (name += 5; *name != '\0'; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		hour = hour * 10 + (*name - '0');
	}
	return hour;
}

void seen_file_sync(struct seen_file *f)
{
	if (f->dirty && f->fd >= 0 && fdatasync(f->fd) == 0)
		f->dirty = false;
}

void seen_file_close(struct seen_file *f)
{
	seen_file_sync(f);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

/* Hours may have gone by without a payload, so one file's time was over at any of the last. */
static void forget_hours(const struct seen_file *f, int64_t hour)
{
	for (int64_t old = hour - 2 * HOURS; old < hour - HOURS; old++) {
		char name[NAME];
		file_name(old, name);
		(void)unlinkat(f->dir, name, 0);
	}
}

/* Opens the hour's file, without the part of a record that a crash may have left at its end. */
static bool open_hour(struct seen_file *f, int64_t hour)
{
	char name[NAME];
	struct stat st;
	seen_file_close(f);
	file_name(hour, name);
	f->fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (f->hour != hour)
		forget_hours(f, hour);
	f->hour = hour;
	if (f->fd < 0)
		return false;
	bool known = fstat(f->fd, &st) == 0;
	off_t rest = known ? st.st_size % RECORD : 0;
	if (!known || (rest != 0 && ftruncate(f->fd, st.st_size - rest) != 0))
		seen_file_close(f);
	return f->fd >= 0;
}

bool seen_file_write(struct seen_file *f, const struct seen_payload *p)
{
	unsigned char record[RECORD];
	int64_t hour = p->seconds / HOUR;
	bool ok = f->fd >= 0 && f->hour == hour;
	if (!ok)
		ok = open_hour(f, hour);
	memcpy(record, p->digest.octets, DIGEST_SIZE);
	put_number(record + DIGEST_SIZE, (uint64_t)p->seconds);
	put_number(record + DIGEST_SIZE + 8, p->flows);
	ssize_t n = ok ? write(f->fd, record, sizeof(record)) : -1;
	ok = n == (ssize_t)sizeof(record);
	f->dirty = true;
	if (!ok && !f->failed)
		log_warn("spool",
			 "cannot note what was taken, a restart may take it again error=\"%s\"",
			 strerror(errno));
	/* Opened anew next time, which removes the part of a record. */
	if (!ok)
		seen_file_close(f);
	f->failed = !ok;
	return ok;
}

static void read_file(int fd, struct seen *seen, int64_t now)
{
	unsigned char record[RECORD];
	FILE *file = fdopen(fd, "r");
	if (file == NULL) {
		close(fd);
		return;
	}
	while (fread(record, sizeof(record), 1, file) == 1) {
		struct seen_payload p = {
			.seconds = (int64_t)get_number(record + DIGEST_SIZE),
			.flows = get_number(record + DIGEST_SIZE + 8),
		};
		memcpy(p.digest.octets, record, DIGEST_SIZE);
		/* A time to come is a clock's mistake: such a record would never grow old. */
		if (p.seconds <= now + HOUR)
			(void)seen_add(seen, &p, now);
	}
	(void)fclose(file);
}

void seen_file_load(const struct seen_file *f, struct seen *seen)
{
	int64_t now = time(NULL);
	for (int64_t hour = now / HOUR - HOURS; hour <= now / HOUR + 1; hour++) {
		char name[NAME];
		file_name(hour, name);
		int fd = openat(f->dir, name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			read_file(fd, seen, now);
	}
}

bool seen_file_is_old(const char *name)
{
	int64_t hour = file_hour(name);
	return hour >= 0 && hour < time(NULL) / HOUR - HOURS;
}
