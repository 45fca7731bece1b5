/* SPDX-License-Identifier: Apache-2.0 */
/* libuv's words for errors, and the system's for those that libuv has none for. */
#include "base/error.h"

#include <stdbool.h>
#include <string.h>
#include <uv.h>

const char *error_text(int error)
{
	static const char unknown[] = "Unknown";
	char name[32];
	uv_err_name_r(error, name, sizeof(name));
	bool known = strncmp(name, unknown, sizeof(unknown) - 1) != 0;
	return known ? uv_strerror(error) : strerror(-error);
}
