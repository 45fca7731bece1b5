/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payload files, read whole before anything is measured. They are the benchmark's own, so there is no
 * limit to their size but memory.
 */
#include "file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int read_all(struct file *f, FILE *in)
{
	long len = -1;
	if (fseek(in, 0, SEEK_END) == 0)
		len = ftell(in);
	if (len <= 0)
		return len == 0 ? -ENODATA : -errno;
	rewind(in);
	f->len = (size_t)len;
	f->octets = malloc(f->len);
	if (f->octets == NULL)
		return -ENOMEM;
	if (fread(f->octets, 1, f->len, in) == f->len)
		return 0;
	file_free(f);
	return -EIO;
}

int file_read(struct file *f, const char *path)
{
	FILE *in = fopen(path, "rb");
	if (in == NULL)
		return -errno;
	int error = read_all(f, in);
	fclose(in);
	return error;
}

void file_free(struct file *f)
{
	free(f->octets);
	*f = (struct file){ .octets = NULL };
}
