/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said to be kept is kept: without memory more than that is, and a segment that cannot be
 * renamed stays what it is, with its mark.
 */
#include "spool/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "spool/segment.h"

enum { FIRST_ROOM = 8 };

void keeps_deinit(struct keeps *k)
{
	free(k->number);
	*k = (struct keeps){ .count = 0 };
}

bool keeps_has(const struct keeps *k, uint64_t number)
{
	for (size_t i = 0; i < k->count; i++)
		if (k->number[i] == number)
			return true;
	return k->from != 0 && number >= k->from;
}

static bool grow(struct keeps *k)
{
	size_t room = k->room == 0 ? FIRST_ROOM : 2 * k->room;
	uint64_t *grown = reallocarray(k->number, room, sizeof(*grown));
	if (grown == NULL)
		return false;
	k->number = grown;
	k->room = room;
	return true;
}

static void add_from(struct keeps *k, uint64_t number)
{
	if (k->from == 0 || number < k->from)
		k->from = number;
}

void keeps_add(struct keeps *k, uint64_t number)
{
	if (keeps_has(k, number))
		return;
	if (k->count < k->room || grow(k))
		k->number[k->count++] = number;
	else
		add_from(k, number);
}

void keeps_move(struct keeps *from, struct keeps *to)
{
	for (size_t i = 0; i < from->count; i++)
		keeps_add(to, from->number[i]);
	from->count = 0;
	if (from->from != 0)
		add_from(to, from->from);
}

uint64_t keeps_mark(struct keeps *k, int dir)
{
	uint64_t lowest = 0;
	size_t left = 0;
	for (size_t i = 0; i < k->count; i++) {
		uint64_t number = k->number[i];
		if (keep_mark(dir, number) == 0)
			continue;
		lowest = lowest == 0 || number < lowest ? number : lowest;
		k->number[left++] = number;
	}
	k->count = left;
	return lowest;
}

int keep_mark(int dir, uint64_t number)
{
	char name[SEGMENT_NAME];
	segment_name(number, ".keep", name);
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return fsync(dir) == 0 ? 0 : -errno;
}

bool keep_is_marked(int dir, uint64_t number)
{
	char name[SEGMENT_NAME];
	segment_name(number, ".keep", name);
	return faccessat(dir, name, F_OK, 0) == 0 || errno != ENOENT;
}

int keep_rename(int dir, uint64_t number)
{
	char from[SEGMENT_NAME];
	char to[SEGMENT_NAME];
	segment_name(number, ".put", from);
	segment_name(number, ".kept", to);
	if (renameat(dir, from, dir, to) != 0 && errno != ENOENT)
		return -errno;
	segment_name(number, ".keep", from);
	(void)unlinkat(dir, from, 0);
	return 0;
}
