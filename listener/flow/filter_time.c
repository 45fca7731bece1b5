/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A time as people write it to milliseconds since 1970: a number as records have it, or ISO 8601's
 * extended format (RFC 3339 section 5.6, with a date alone or without seconds, too). What is written
 * coarsely means all of its day, minute or second. Years from 1970 to 9999; no leap seconds, as Unix
 * time has none; a fraction has up to nine digits, of which milliseconds count.
 */
#include <time.h>

#include "base/number.h"
#include "flow/filter_program.h"

enum {
	SECOND_MS = 1000,
	MINUTE_MS = 60 * SECOND_MS,
	DAY_MS = 24 * 60 * MINUTE_MS,
	FRACTION_DIGITS = 9,
};

/* Takes so many digits off the text, and the character before them unless that is 0. */
static bool take_digits(struct slice *text, char before, size_t digits, unsigned most, int *n)
{
	uint64_t number;
	if (before != '\0') {
		if (text->len == 0 || text->data[0] != before)
			return false;
		slice_skip(text, 1);
	}
	if (text->len < digits || !number_parse(slice_of(text->data, digits), most, &number))
		return false;
	slice_skip(text, digits);
	*n = (int)number;
	return true;
}

static bool begins_with(struct slice text, char c)
{
	return text.len > 0 && text.data[0] == c;
}

/* What follows a '.': *ms of it, and in *unit how many of them its last digit stands for. */
static bool take_fraction(struct slice *text, uint64_t *ms, uint64_t *unit)
{
	size_t len = 0;
	*ms = 0;
	*unit = SECOND_MS;
	slice_skip(text, 1);
	while (len < text->len && text->data[len] >= '0' && text->data[len] <= '9') {
		*unit = *unit > 10 ? *unit / 10 : 1;
		*ms += len < 3 ? (uint64_t)(text->data[len] - '0') * *unit : 0;
		len++;
	}
	slice_skip(text, len);
	return len > 0 && len <= FRACTION_DIGITS;
}

/* Z, +HH:MM, +HHMM or nothing, to the text's end: how far the clock is ahead of UTC. */
static bool take_offset(struct slice *text, int64_t *ms)
{
	int hours;
	int minutes;
	*ms = 0;
	if (text->len == 0)
		return true;
	if (text->len == 1)
		return text->data[0] == 'Z' || text->data[0] == 'z';
	int64_t sign = text->data[0] == '-' ? -1 : 1;
	if ((sign > 0 && text->data[0] != '+'))
		return false;
	slice_skip(text, 1);
	if (!take_digits(text, '\0', 2, 23, &hours) ||
	    !take_digits(text, begins_with(*text, ':') ? ':' : '\0', 2, 59, &minutes))
		return false;
	*ms = sign * (hours * 60 + minutes) * MINUTE_MS;
	return text->len == 0;
}

static bool take_date(struct slice *text, struct tm *tm)
{
	if (!take_digits(text, '\0', 4, 9999, &tm->tm_year) ||
	    !take_digits(text, '-', 2, 12, &tm->tm_mon) ||
	    !take_digits(text, '-', 2, 31, &tm->tm_mday))
		return false;
	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	return tm->tm_year >= 70 && tm->tm_mon >= 0 && tm->tm_mday >= 1;
}

/* What follows a date; *unit: milliseconds of what the time is given in. */
static bool take_clock(struct slice *text, struct tm *tm, uint64_t *ms, uint64_t *unit)
{
	if (!take_digits(text, text->data[0], 2, 23, &tm->tm_hour) ||
	    !take_digits(text, ':', 2, 59, &tm->tm_min))
		return false;
	*unit = MINUTE_MS;
	if (!begins_with(*text, ':'))
		return true;
	*unit = SECOND_MS;
	return take_digits(text, ':', 2, 59, &tm->tm_sec) &&
	       (!begins_with(*text, '.') || take_fraction(text, ms, unit));
}

static bool iso_time(struct slice text, uint64_t *first, uint64_t *last)
{
	struct tm tm = { .tm_sec = 0 };
	uint64_t unit = DAY_MS;
	uint64_t ms = 0;
	int64_t ahead = 0;
	if (!take_date(&text, &tm))
		return false;
	int day = tm.tm_mday;
	bool clock = begins_with(text, 'T') || begins_with(text, 't') || begins_with(text, ' ');
	if (clock && !take_clock(&text, &tm, &ms, &unit))
		return false;
	if (!take_offset(&text, &ahead))
		return false;
	int64_t at = (int64_t)timegm(&tm) * SECOND_MS + (int64_t)ms - ahead;
	/* timegm makes March of the 30th of February. */
	if (tm.tm_mday != day || at < 0)
		return false;
	*first = (uint64_t)at;
	*last = *first + unit - 1;
	return true;
}

bool filter_time(struct slice text, uint64_t *first, uint64_t *last)
{
	uint64_t n;
	if (!number_parse(text, UINT64_MAX, &n))
		return iso_time(text, first, last);
	bool seconds = n <= INT32_MAX;
	*first = seconds ? n * SECOND_MS : n;
	*last = *first + (seconds ? SECOND_MS - 1 : 0);
	return true;
}
