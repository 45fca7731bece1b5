/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_UNIT_SUPPORT_H
#define VPCFLOWD_TESTS_UNIT_SUPPORT_H

/*
 * What the unit tests share: rows of text from a file, files of a moment's life, gzip and base64
 * for input (made by zlib and by the plain textbook loop, not by what is tested), and a generator
 * of pseudo-random numbers that gives the same ones every time.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After the four headers above, which it needs and does not include. */
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/slice.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(*(array)))

/* ---- rows of text --------------------------------------------------------------------------- */

enum { ROW_COLUMNS = 8 };

/* A file of rows, columns separated by tabs; # begins a comment line. */
struct rows {
	FILE *file;
	char *line;
	size_t room;
	char *column[ROW_COLUMNS];
	unsigned columns;
};

static inline void rows_open(struct rows *r, const char *path)
{
	*r = (struct rows){ .file = fopen(path, "r") };
	if (r->file == NULL)
		fail_msg("cannot open %s", path);
}

/* The next row, which must have this many columns. Closes the file after the last. */
static inline bool rows_next(struct rows *r, unsigned columns)
{
	ssize_t len;
	while ((len = getline(&r->line, &r->room, r->file)) >= 0) {
		if (len > 0 && r->line[len - 1] == '\n')
			r->line[len - 1] = '\0';
		if (r->line[0] == '\0' || r->line[0] == '#')
			continue;
		char *rest = r->line;
		for (r->columns = 0; rest != NULL && r->columns < ROW_COLUMNS; r->columns++)
			r->column[r->columns] = strsep(&rest, "\t");
		if (rest != NULL || r->columns != columns)
			fail_msg("row %s: not %u columns", r->column[0], columns);
		return true;
	}
	free(r->line);
	fclose(r->file);
	return false;
}

static inline int hex_value(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);
	if (at == NULL)
		fail_msg("not a hex digit: %c", c);
	return (int)(at - digits);
}

/* Undoes \r, \n, \t, \\ and \xNN in place. */
static inline struct slice unescape_row(char *text)
{
	char *to = text;
	for (const char *p = text; *p != '\0'; p++) {
		if (*p != '\\') {
			*to++ = *p;
			continue;
		}
		switch (*++p) {
		case 'r':
			*to++ = '\r';
			break;
		case 'n':
			*to++ = '\n';
			break;
		case 't':
			*to++ = '\t';
			break;
		case '\\':
			*to++ = '\\';
			break;
		case 'x':
			*to++ = (char)(hex_value(p[1]) << 4 | hex_value(p[2]));
			p += 2;
			break;
		default:
			fail_msg("unknown escape in row: \\%c", *p);
		}
	}
	return slice_of(text, (size_t)(to - text));
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Writes a new file below /tmp; path gets its name. The test unlinks it. */
enum { TEMP_PATH = 64 };

static inline void temp_file(char path[TEMP_PATH], struct slice text)
{
	(void)snprintf(path, TEMP_PATH, "/tmp/vpcflowd-test-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	if (text.len > 0)
		assert_int_equal(write(fd, text.data, text.len), text.len);
	close(fd);
}

/* Standard error goes to this path from here on; gives back what stderr_restore needs. */
static inline int stderr_redirect(const char *path)
{
	fflush(stderr);
	int saved = dup(STDERR_FILENO);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (saved < 0 || fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		abort();
	close(fd);
	return saved;
}

static inline void stderr_restore(int saved)
{
	fflush(stderr);
	if (dup2(saved, STDERR_FILENO) < 0)
		abort();
	close(saved);
}

/* Appends a whole file. */
static inline void add_file(struct buf *to, const char *path)
{
	FILE *file = fopen(path, "r");
	if (file == NULL)
		fail_msg("cannot open %s", path);
	char part[4096];
	size_t n;
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		assert_true(buf_add(to, part, n));
	fclose(file);
}

/* ---- input ---------------------------------------------------------------------------------- */

static inline void add_text(struct buf *to, const char *text)
{
	assert_true(buf_add(to, text, strlen(text)));
}

/* Appends one gzip member of the octets. */
static inline void add_gzip(struct buf *to, struct slice octets)
{
	z_stream z = { .zalloc = Z_NULL };
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	size_t room = deflateBound(&z, octets.len) + 64;
	assert_true(buf_reserve(to, room));
	z.next_in = (Bytef *)(uintptr_t)octets.data;
	z.avail_in = (uInt)octets.len;
	z.next_out = (Bytef *)to->data + to->len;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	to->len += room - z.avail_out;
	deflateEnd(&z);
}

static inline void add_base64(struct buf *to, struct slice octets)
{
	const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < octets.len; i += 3) {
		unsigned bits = 0;
		size_t n = octets.len - i < 3 ? octets.len - i : 3;
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (unsigned char)octets.data[i + k] : 0u);
		char group[4];
		for (unsigned k = 0; k < 4; k++)
			group[k] = k <= n ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
		assert_true(buf_add(to, group, 4));
	}
}

/* ---- pseudo-random numbers ------------------------------------------------------------------ */

/* xorshift64*: good enough to shake things, and the same everywhere. */
struct dice {
	uint64_t state;
};

static inline size_t dice_below(struct dice *d, size_t n)
{
	d->state ^= d->state >> 12;
	d->state ^= d->state << 25;
	d->state ^= d->state >> 27;
	return (size_t)((d->state * 2685821657736338717u) >> 33) % n;
}

/* How many random sequences a model check runs: MODEL_SEQUENCES, or so many. */
static inline uint64_t model_sequences(uint64_t standard)
{
	const char *asked = getenv("MODEL_SEQUENCES");
	return asked == NULL ? standard : strtoull(asked, NULL, 10);
}

#endif
