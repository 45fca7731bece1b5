/* SPDX-License-Identifier: Apache-2.0 */
/* gzip by zlib, which reads header and trailer itself. The only file that knows it. */
#include "decode/inflater.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

struct zlib {
	struct inflater inflater;
	z_stream z;
};

/* 32 KiB of window and its tables (zconf.h, "memory requirements"). */
enum { ZLIB_OCTETS = 48 * 1024 };

static struct zlib *zlib_of(struct inflater *i)
{
	return CONTAINER_OF(i, struct zlib, inflater);
}

static struct inflater *zlib_new(void)
{
	struct zlib *z = calloc(1, sizeof(*z));
	if (z == NULL)
		return NULL;
	z->inflater.class = &inflater_zlib;
	/* 15 + 16: the largest window, and a gzip header rather than a zlib one (zlib.h). */
	if (inflateInit2(&z->z, 15 + 16) != Z_OK) {
		free(z);
		return NULL;
	}
	return &z->inflater;
}

static void zlib_free(struct inflater *i)
{
	struct zlib *z = zlib_of(i);
	inflateEnd(&z->z);
	free(z);
}

static void zlib_again(struct inflater *i)
{
	inflateReset(&zlib_of(i)->z);
}

static enum inflated zlib_run(struct inflater *i, struct slice *in, char *to, size_t *room)
{
	z_stream *z = &zlib_of(i)->z;
	uInt offered = in->len < UINT_MAX ? (uInt)in->len : UINT_MAX;
	uInt most = *room < UINT_MAX ? (uInt)*room : UINT_MAX;
	z->next_in = (Bytef *)(uintptr_t)in->data;
	z->avail_in = offered;
	z->next_out = (Bytef *)to;
	z->avail_out = most;
	int status = inflate(z, Z_NO_FLUSH);
	slice_skip(in, offered - z->avail_in);
	*room = most - z->avail_out;
	if (status == Z_STREAM_END)
		return INFLATED_ENDED;
	return status == Z_OK || status == Z_BUF_ERROR ? INFLATED_MORE : INFLATED_BAD;
}

const struct inflater_class inflater_zlib = {
	.name = "zlib",
	.octets = sizeof(struct zlib) + ZLIB_OCTETS,
	.new = zlib_new,
	.free = zlib_free,
	.again = zlib_again,
	.run = zlib_run,
};
