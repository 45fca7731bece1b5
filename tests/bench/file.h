/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_TESTS_BENCH_FILE_H
#define VPCFLOWD_TESTS_BENCH_FILE_H

#include <stddef.h>

#include "base/attributes.h"

/* A payload as it lies in a file. Owns its octets. */
struct file {
	char *octets;
	size_t len;
};

/* Reads all of a file that is not empty. 0, or a negative errno; then there is nothing to free. */
MUST_CHECK int file_read(struct file *f, const char *path);
void file_free(struct file *f);

#endif
