/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sums need beside their keys: an end, so --read; and outputs whose records they can be, so both
 * addresses among the keys where a record is nothing without them. All of that is said at the start:
 * nobody should read for an hour first.
 */
#include "config_sums.h"

static bool wrong(const char *what, const char *option, const char *value)
{
	log_error("config", "%s option=\"%s%s%s\"", what, option, *value == '\0' ? "" : " ", value);
	return false;
}

/* Options that say something of sums, where there are none. */
static bool check_without(const struct config *c)
{
	if (c->sums.top != 0)
		return wrong("of no use without --aggregate", "--top", "");
	if (c->sums.has_order)
		return wrong("of no use without --aggregate", "--by", wanted_order(&c->sums));
	if (c->fields != NULL && c->fields->place[FIELD_FLOWS] >= 0)
		log_warn("config", "only --aggregate has a column flows option=--fields");
	return true;
}

/* ftsq and IPFIX are about two ends. */
static bool check_outputs(const struct config *c)
{
	const struct format *f = c->sums.format;
	if (f->place[FIELD_SRCADDR] >= 0 && f->place[FIELD_DSTADDR] >= 0)
		return true;
	for (size_t i = 0; i < c->outputs; i++)
		if (c->output[i].encoder.class->needs_addresses)
			return wrong("needs both addresses: add srcaddr and dstaddr to the keys of "
				     "--aggregate, or write csv or json",
				     "--output", c->output[i].name);
	return true;
}

/* --fields chooses among the columns of sums. */
static bool check_fields(const struct config *c)
{
	for (unsigned i = 0; c->fields != NULL && i < c->fields->count; i++) {
		char name[LOG_ESCAPED];
		if (!format_has(c->sums.format, format_column_name(c->fields, i)))
			return wrong(
				"neither a key of --aggregate nor packets, bytes, flows, start "
				"or end",
				"--fields", log_escape(format_column_name(c->fields, i), name));
	}
	return true;
}

bool config_settle_sums(struct config *c)
{
	if (c->sums.format == NULL)
		return check_without(c);
	if (!c->read)
		return wrong("is for --read: who listens never comes to an end", "--aggregate", "");
	c->columns = *c->sums.format;
	c->columns_known = false; /* no header before there are sums */
	for (size_t i = 0; i < c->outputs; i++)
		c->output[i].encoder.sums = c->sums.format;
	return check_outputs(c) && check_fields(c);
}
