/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which format, exporter and observation domain a record gets. Formats are chosen for a document,
 * since a record cannot be read without one; the rest for each record.
 */
#include "flow/source.h"

#include <stdlib.h>

#include "flow/flow.h"

bool source_set_exporter(struct source *s, struct slice text)
{
	struct address a;
	if (text.len >= ADDRESS_TEXT || !address_parse(text, &a))
		return false;
	memcpy(s->exporter, text.data, text.len);
	s->exporter[text.len] = '\0';
	s->exporter_len = text.len;
	s->address = a;
	return true;
}

void sources_deinit(struct sources *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->rules[i].group);
		free(s->rules[i].account);
		free(s->rules[i].vpc);
		free(s->rules[i].interface);
		free(s->rules[i].format);
	}
	free(s->rules);
	free(s->format);
	*s = (struct sources){ .count = 0 };
}

/* Inlined into the two below, so that neither asks which one it is. */
static inline bool match(const char *pattern, struct slice text, bool fold)
{
	/* After a mismatch the last * takes one character more; earlier ones need not change. */
	const char *star = NULL;
	size_t at = 0;
	size_t retry = 0;
	while (at < text.len) {
		char c = text.data[at];
		if (fold && c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (*pattern == '*') {
			star = pattern++;
			retry = at;
		} else if (*pattern == c && *pattern != '\0') {
			pattern++;
			at++;
		} else if (star != NULL) {
			pattern = star + 1;
			at = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool glob_match(const char *pattern, struct slice text)
{
	return match(pattern, text, false);
}

bool glob_match_any_case(const char *pattern, struct slice text)
{
	return match(pattern, text, true);
}

static bool fits(const char *pattern, struct slice text)
{
	return pattern == NULL || glob_match(pattern, text);
}

const struct format *sources_format(const struct sources *s, const struct origin *origin)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct source_rule *r = &s->rules[i];
		if (r->format != NULL && fits(r->group, origin->group) &&
		    fits(r->account, origin->account))
			return r->format;
	}
	return s->format;
}

static bool rule_matches(const struct source_rule *r, const struct origin *origin,
			 const struct flow *flow)
{
	if (!fits(r->group, origin->group))
		return false;
	struct slice account = flow_field_text(flow, FIELD_ACCOUNT_ID);
	if (!fits(r->account, account.len > 0 ? account : origin->account))
		return false;
	return fits(r->vpc, flow_field_text(flow, FIELD_VPC_ID)) &&
	       fits(r->interface, flow_field_text(flow, FIELD_INTERFACE_ID));
}

const struct source *sources_by_rules(const struct sources *s, const struct origin *origin,
				      const struct flow *flow, struct source *room)
{
	const struct source_rule *exporter = NULL;
	const struct source_rule *domain = NULL;
	for (size_t i = 0; i < s->count && (exporter == NULL || domain == NULL); i++) {
		const struct source_rule *r = &s->rules[i];
		bool wanted = (r->has_exporter && exporter == NULL) ||
			      (r->has_domain && domain == NULL);
		if (!wanted || !rule_matches(r, origin, flow))
			continue;
		if (r->has_exporter && exporter == NULL)
			exporter = r;
		if (r->has_domain && domain == NULL)
			domain = r;
	}
	if (exporter == NULL && domain == NULL)
		return &s->standard;
	*room = exporter == NULL ? s->standard : exporter->source;
	room->domain = domain == NULL ? s->standard.domain : domain->source.domain;
	return room;
}
