/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_LOG_H
#define VPCFLOWD_BASE_LOG_H

#include "base/attributes.h"
#include "base/slice.h"

/*
 * Lines on standard error: "LEVEL area: what happened key=value ...". Each is one write, so lines
 * of several threads never mix. Foreign octets go through log_escape first.
 */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above this level are dropped; the default is LOG_INFO. */
void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *area, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(area, ...) log_line(LOG_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_line(LOG_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_line(LOG_INFO, area, __VA_ARGS__)
#define log_debug(area, ...) log_line(LOG_DEBUG, area, __VA_ARGS__)

/* Room for the first LOG_SAMPLE foreign octets, each of them escaped, and "...". */
enum { LOG_SAMPLE = 64, LOG_ESCAPED = LOG_SAMPLE * 4 + 4 };

/*
 * Writes foreign octets as quoted-safe printable ASCII into out, NUL-terminated: everything else
 * and " and \ become \xNN, what is beyond LOG_SAMPLE octets becomes "...". Returns out.
 */
const char *log_escape(struct slice foreign, char out[LOG_ESCAPED]);

#endif
